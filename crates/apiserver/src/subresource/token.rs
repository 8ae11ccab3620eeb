//! token: a fresh token for a ServiceAccount, bound to a pod or secret where the request says so.

use crate::{
    answer::{self, Reply},
    api::Api,
    call::{Call, Target},
    shape,
    token::{Account, Claims, Reference},
    verb::decode,
};
use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use object::{Status, schema::form, time};
use serde_json::{Value, json};

/// Life of a token whose request does not say, in seconds.
const SECONDS_DEFAULT: i64 = 3600;
/// Shortest and longest life that may be asked for; upstream's bounds.
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

/// Answers a POST of a TokenRequest.
pub(super) fn make(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    let decoded = decode::form(call, form::TOKEN_REQUEST, body)?;
    let mut request = decoded.object;
    let account = target.shelf.get(&target.namespace, &target.name).ok_or_else(|| target.not_found())?;
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(SECONDS_DEFAULT);
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&seconds) {
        let why = if seconds < SECONDS_MIN {
            "may not specify a duration less than 10 minutes"
        } else {
            "may not specify a duration larger than 2^32 seconds"
        };
        let cause = object::status::Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {seconds}: {why}"),
            field: "spec.expirationSeconds".to_owned(),
        };
        return Err(Status::invalid("authentication.k8s.io", "TokenRequest", &target.name, vec![cause]));
    }
    let asked = request["spec"]["audiences"].as_array().into_iter().flatten();
    let mut audiences: Vec<String> = asked.filter_map(|own| own.as_str().map(str::to_owned)).collect();
    if audiences.is_empty() {
        audiences.push(api.tokens.issuer().to_owned());
    }
    let (pod, secret) = bound(api, target, &request["spec"]["boundObjectRef"])?;
    let now = call.now.as_second();
    let claims = Claims {
        aud: audiences.clone(),
        exp: now + seconds,
        iat: now,
        iss: api.tokens.issuer().to_owned(),
        jti: uuid::Uuid::new_v4().to_string(),
        nbf: now,
        sub: format!("system:serviceaccount:{}:{}", target.namespace, target.name),
        account: Account {
            namespace: target.namespace.clone(),
            serviceaccount: Reference { name: target.name.clone(), uid: account.uid.to_string() },
            pod,
            secret,
        },
    };
    let token = api.tokens.sign(&claims).map_err(Status::internal)?;
    let expires = call.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["metadata"] = json!({"name": target.name, "namespace": target.namespace,
        "creationTimestamp": time::seconds(call.now)});
    request["spec"]["audiences"] = json!(audiences);
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = json!({"token": token, "expirationTimestamp": time::seconds(expires)});
    let mut response = shape::value(call, StatusCode::CREATED, &request)?;
    answer::warn(&mut response, &decoded.warnings);
    Ok(response)
}

type Bound = (Option<Reference>, Option<Reference>);

/// The pod or secret that the token is to die with.
fn bound(api: &Api, target: &Target, reference: &Value) -> Result<Bound, Status> {
    if reference.is_null() {
        return Ok((None, None));
    }
    let kind = reference["kind"].as_str().unwrap_or_default();
    let name = reference["name"].as_str().unwrap_or_default();
    let plural = match kind {
        "Pod" => "pods",
        "Secret" => "secrets",
        _ => {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount \"{}\" to an object of kind {kind}",
                target.name
            )));
        }
    };
    let item = api.cache.resource("", plural).get(&target.namespace, name);
    let item = item.ok_or_else(|| Status::not_found("", plural, name))?;
    if let Some(uid) = reference["uid"].as_str().filter(|uid| !uid.is_empty() && **uid != *item.uid) {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(Status::conflict("", plural, name, &why));
    }
    let found = Some(Reference { name: name.to_owned(), uid: item.uid.to_string() });
    Ok(if plural == "pods" { (found, None) } else { (None, found) })
}
