//! A request to S3 whose caller is known: what it is about, and what it says about it.

use super::refused::Refused;
use crate::S3;
use http::HeaderValue;
use http::request::Parts;
use iam::session::Identity;
use managed::{Bucket, Buckets, Cause};
use std::sync::Arc;
use wire::Reply;

/// Headers of every request that say nothing about what is asked for, or are read elsewhere.
const ALWAYS: [&str; 9] = [
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
    "x-amz-user-agent",
    "x-amz-expected-bucket-owner",
    "x-amz-source-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
];

pub(super) struct Ask<'a> {
    pub(super) s3: &'a S3,
    pub(super) parts: &'a Parts,
    pub(super) operation: &'static str,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) query: Vec<(String, String)>,
    /// Who asks; nobody, where a policy lets everybody.
    pub(super) who: Option<Identity>,
    pub(super) request_id: &'a str,
}

impl Ask<'_> {
    pub(super) fn buckets(&self) -> &Arc<Buckets> {
        &self.s3.config.buckets
    }

    pub(super) fn bucket(&self) -> Result<Arc<Bucket>, Refused> {
        self.buckets().get(&self.name).ok_or_else(|| Refused::no_bucket(&self.name))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// A header as text, also where it is not ASCII, as keys in `x-amz-copy-source` and values of metadata may be.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.parts.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A number between two bounds.
    pub(super) fn number(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, Refused> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(Refused::argument(
                name,
                text,
                format!("{name} must be an integer between {min} and {max}"),
            )),
        }
    }

    /// So many keys are listed at most, whatever is asked for.
    pub(super) fn max(&self, name: &str) -> Result<usize, Refused> {
        let asked = self.number(name, 0, i32::MAX as u32)?.unwrap_or(1000).min(1000);
        Ok(usize::try_from(asked).unwrap_or(1000))
    }

    pub(super) fn version(&self) -> Result<Option<&str>, Refused> {
        match self.parameter("versionId") {
            Some("") => Err(Refused::argument("versionId", "", "Version id cannot be the empty string")),
            other => Ok(other),
        }
    }

    /// Refuses headers that ask for something else than `known`: none is ignored.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refused> {
        let amz =
            self.parts.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-amz-"));
        let mut others = amz.filter(|name| !ALWAYS.contains(name) && !known.contains(name));
        match others.find(|name| !(name.starts_with("x-amz-meta-") && known.contains(&"x-amz-meta-"))) {
            Some(name) if name.starts_with("x-amz-grant-") => Err(no_acl()),
            Some(name) => Err(Refused::unsupported_header(name)),
            None => Ok(()),
        }
    }

    /// Everything belongs to the account here: of the ready-made lists, those that say so are accepted.
    pub(super) fn check_acl(&self) -> Result<(), Refused> {
        match self.header("x-amz-acl") {
            None | Some("private" | "bucket-owner-full-control") => Ok(()),
            Some(_) => Err(no_acl()),
        }
    }

    pub(super) fn cause(&self) -> Cause {
        let who = self.who.as_ref().map(|who| format!("AWS:{}", who.user_id));
        Cause {
            principal: who.unwrap_or_else(|| "Anonymous".to_owned()),
            // Nothing reaches the door from elsewhere.
            address: "127.0.0.1".to_owned(),
            request_id: self.request_id.to_owned(),
            expired: false,
        }
    }

    /// Whoever everything belongs to.
    pub(super) fn owner(&self) -> String {
        sigv4::hex_sha256(self.s3.config.account_id.as_bytes())
    }
}

fn no_acl() -> Refused {
    Refused::new(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
}

/// Sets a header of an answer, if its value can be one.
pub(super) fn set(reply: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        reply.headers_mut().insert(name, value);
    }
}

/// The same, if there is a value.
pub(super) fn set_some(reply: &mut Reply, name: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        set(reply, name, value);
    }
}
