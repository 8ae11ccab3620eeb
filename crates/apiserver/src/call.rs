//! One request on its way through the stations: who asks, for what, in which form. Made by `server`, read by verbs.

use crate::{
    attributes::Attributes,
    cache::{Selector, Shelf},
    identity::Identity,
    media::Media,
    query::Query,
};
use http::HeaderMap;
use object::{
    Kind, Status,
    apply::{Author, manager_of},
    time::Timestamp,
};
use std::sync::Arc;

/// Length of a field manager's name, as upstream limits it.
const FIELD_MANAGER_MAX: usize = 128;

/// One request without its body.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) attributes: Attributes,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) media: Media,
    pub(crate) identity: Identity,
    pub(crate) now: Timestamp,
}

/// The resource that a request is for.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) kind: &'static Kind,
    pub(crate) shelf: Arc<Shelf>,
    /// Empty for kinds without namespace, and for a list of all of them.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Target {
    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(self.kind.group, self.kind.plural, &self.name)
    }

    /// A write that lost against another one.
    pub(crate) fn modified(&self) -> Status {
        Status::modified(self.kind.group, self.kind.plural, &self.name)
    }

    /// The same resource, one object of it.
    pub(crate) fn named(&self, namespace: &str, name: &str) -> Target {
        Target { namespace: namespace.to_owned(), name: name.to_owned(), ..self.clone() }
    }
}

impl Call {
    /// The selectors of a list, watch or deletecollection.
    pub(crate) fn selector(&self, kind: &Kind) -> Result<Selector, Status> {
        Selector::parse(kind, self.query.get("labelSelector"), self.query.get("fieldSelector"))
    }

    /// Who is to own the fields that this request writes.
    pub(crate) fn manager(&self) -> Result<String, Status> {
        let given = self.query.get("fieldManager");
        if given.len() > FIELD_MANAGER_MAX {
            return Err(Status::bad_request(format!(
                "fieldManager: Too long: may not be more than {FIELD_MANAGER_MAX} bytes"
            )));
        }
        if !given.is_empty() {
            return Ok(given.to_owned());
        }
        let agent = self.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        let manager = manager_of(agent.unwrap_or_default());
        Ok(if manager.is_empty() { "unknown".to_owned() } else { manager.to_owned() })
    }

    /// The author of this request's changes.
    pub(crate) fn author<'a>(&self, manager: &'a str, subresource: Option<&'a str>) -> Author<'a> {
        Author { manager, subresource, now: self.now }
    }
}
