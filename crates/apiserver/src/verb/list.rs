//! get and list, from the cache alone. A list with a limit is cut at one revision: later pages show the objects as
//! they were when the first page was made, or end in 410 when that is too long ago.

use crate::{
    answer::Reply,
    api::Api,
    cache::{Item, Selector},
    call::{Call, Target},
    shape::{self, ListMeta},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use object::Status;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use store::Revision;

/// How long a read waits for a revision that the cache has not seen yet.
const FRESHNESS_WAIT: Duration = Duration::from_secs(3);

/// Where a list goes on: the content of a continue token.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    /// The revision of the first page; 0 is "now", the inconsistent continuation after a 410.
    rv: Revision,
    /// The last key that was sent.
    after: String,
}

impl Continue {
    fn encode(&self) -> String {
        let text = serde_json::to_vec(self).expect("a number and a text are always JSON");
        URL_SAFE_NO_PAD.encode(text)
    }

    fn decode(token: &str) -> Result<Continue, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| Status::bad_request("continue key is not valid: it was not made by this server"))
    }
}

/// Answers with one object.
pub(crate) async fn get(api: &Api, call: &Call, target: &Target) -> Reply {
    fresh(api, asked_revision(call)?).await?;
    let item = target.shelf.get(&target.namespace, &target.name).ok_or_else(|| target.not_found())?;
    shape::object(call, target.kind, StatusCode::OK, item.served())
}

/// Answers with a list.
pub(crate) async fn list(api: &Api, call: &Call, target: &Target) -> Reply {
    let selector = call.selector(target.kind)?;
    let limit = call.query.number("limit")?.unwrap_or(0) as usize;
    let (items, meta) = select(api, call, target, &selector, limit).await?;
    shape::list(call, target.kind, items, &meta)
}

/// The objects that a list is about.
pub(crate) async fn select(
    api: &Api,
    call: &Call,
    target: &Target,
    selector: &Selector,
    limit: usize,
) -> Result<(Vec<Arc<Item>>, ListMeta), Status> {
    let asked = asked_revision(call)?;
    let exact = call.query.get("resourceVersionMatch") == "Exact";
    check_match(call, asked)?;
    let token = call.query.get("continue");
    let token = if token.is_empty() { None } else { Some(Continue::decode(token)?) };
    if token.is_some() && asked.is_some_and(|revision| revision > 0) {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    fresh(api, asked).await?;
    let at = match &token {
        Some(token) if token.rv > 0 => Some(token.rv),
        Some(_) => None,
        None if exact => asked,
        None => None,
    };
    let after = token.as_ref().map(|token| token.after.as_str());
    cut(api, target, selector, limit, at, after)
}

fn cut(
    api: &Api,
    target: &Target,
    selector: &Selector,
    limit: usize,
    at: Option<Revision>,
    after: Option<&str>,
) -> Result<(Vec<Arc<Item>>, ListMeta), Status> {
    let prefix = target.shelf.range(&target.namespace);
    let wanted =
        |item: &&Arc<Item>| selector.matches(item) && (target.name.is_empty() || target.name == item.name());
    let state = target.shelf.read();
    let revision = at.unwrap_or_else(|| api.cache.revision().max(state.revision()));
    let past;
    let (items, left): (Vec<Arc<Item>>, usize) = match at {
        Some(revision) => {
            past = state.at(&prefix, after, revision).map_err(|_| expired(after))?;
            page(past.iter().filter(wanted), limit)
        }
        None => page(state.under(&prefix, after).filter(wanted), limit),
    };
    drop(state);
    let mut meta = ListMeta { revision, ..ListMeta::default() };
    if let (true, Some(last)) = (left > 0, items.last()) {
        meta.next = Some(Continue { rv: revision, after: last.key.to_string() }.encode());
        // With a selector, upstream does not know how many of the rest match, and so says nothing.
        meta.remaining = selector.is_empty().then_some(left);
    }
    Ok((items, meta))
}

fn page<'a>(items: impl Iterator<Item = &'a Arc<Item>>, limit: usize) -> (Vec<Arc<Item>>, usize) {
    let mut items = items;
    if limit == 0 {
        return (items.cloned().collect(), 0);
    }
    let page = items.by_ref().take(limit).cloned().collect();
    (page, items.count())
}

fn expired(after: Option<&str>) -> Status {
    let mut status = Status::expired(match after {
        None => "The resourceVersion for the provided list is too old.",
        Some(_) => {
            "The provided continue parameter is too old to display a consistent list result. You can start a new \
             list without the continue parameter, or use the continue token in this response to retrieve the \
             remainder of the results. Continuing with the provided token results in an inconsistent list - \
             objects that were created, modified, or deleted between the time the first chunk was returned and \
             now may show up in the list."
        }
    });
    status.continue_token = after.map(|after| Continue { rv: 0, after: after.to_owned() }.encode());
    status
}

/// The resourceVersion parameter: `None` when not given.
pub(crate) fn asked_revision(call: &Call) -> Result<Option<Revision>, Status> {
    match call.query.get("resourceVersion") {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            Status::bad_request(format!(
                "resourceVersion: Invalid value: \"{text}\": invalid resource version"
            ))
        }),
    }
}

fn check_match(call: &Call, asked: Option<Revision>) -> Result<(), Status> {
    let refuse = |why: &str| Err(Status::bad_request(format!("resourceVersionMatch: {why}")));
    match (call.query.get("resourceVersionMatch"), asked) {
        ("", _) => Ok(()),
        (_, None) => {
            refuse("Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        ("Exact", Some(0)) => {
            refuse("Forbidden: resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"")
        }
        ("Exact" | "NotOlderThan", _) => Ok(()),
        (other, _) => refuse(&format!(
            "Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\", \"\""
        )),
    }
}

/// Waits until the cache is at least as new as the client demands.
pub(crate) async fn fresh(api: &Api, asked: Option<Revision>) -> Result<(), Status> {
    let Some(revision) = asked.filter(|revision| *revision > api.cache.revision()) else { return Ok(()) };
    match tokio::time::timeout(FRESHNESS_WAIT, api.cache.wait(revision)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Status::unavailable("the API server is shutting down")),
        Err(_) => {
            let current = api.cache.revision();
            let mut status =
                Status::timeout(format!("Too large resource version: {revision}, current: {current}"));
            let cause = object::status::Cause {
                reason: "ResourceVersionTooLarge",
                message: "Too large resource version".to_owned(),
                field: String::new(),
            };
            let details =
                object::status::Details { causes: vec![cause], retry_after_seconds: 1, ..Default::default() };
            status.details = Some(Box::new(details));
            Err(status)
        }
    }
}
