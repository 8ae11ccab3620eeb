//! `kubectl --as`: a caller acts as somebody else, if he may `impersonate` that user, each group and each extra.

use crate::{
    api::Api,
    attributes::Attributes,
    identity::{Identity, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_UNAUTHENTICATED},
};
use http::HeaderMap;
use object::Status;
use std::collections::BTreeMap;

const EXTRA: &str = "impersonate-extra-";
const ACCOUNT: &str = "system:serviceaccount:";

/// Who the request is to be made as: `None` when the headers do not ask for another.
pub(crate) fn wanted(headers: &HeaderMap) -> Result<Option<Identity>, Status> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    };
    let user = texts("impersonate-user").into_iter().next().unwrap_or_default();
    let mut groups = texts("impersonate-group");
    let uid = texts("impersonate-uid").into_iter().next().unwrap_or_default();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in headers.keys().filter_map(|name| name.as_str().strip_prefix(EXTRA)) {
        let key = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
        extra.insert(key, texts(&format!("{EXTRA}{name}")));
    }
    if user.is_empty() {
        if groups.is_empty() && uid.is_empty() && extra.is_empty() {
            return Ok(None);
        }
        return Err(Status::bad_request("a group, uid or extra can be impersonated only along with a user"));
    }
    if groups.is_empty() {
        groups.extend(account(&user).into_iter().flat_map(|(namespace, _)| {
            ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
        }));
    }
    let everybody = if user == SYSTEM_ANONYMOUS { SYSTEM_UNAUTHENTICATED } else { SYSTEM_AUTHENTICATED };
    if !groups.iter().any(|own| own == everybody) {
        groups.push(everybody.to_owned());
    }
    Ok(Some(Identity { user, groups, uid, extra }))
}

fn account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(ACCOUNT)?.split_once(':')
}

/// Whether `caller` may act as `wanted`.
pub(crate) fn check(
    api: &Api,
    caller: &Identity,
    wanted: &Identity,
    headers: &HeaderMap,
) -> Result<(), Status> {
    let mut asked = vec![match account(&wanted.user) {
        Some((namespace, name)) => attributes("", "serviceaccounts", "", namespace, name),
        None => attributes("", "users", "", "", &wanted.user),
    }];
    let named = headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok());
    asked.extend(named.map(|group| attributes("", "groups", "", "", group)));
    let group = "authentication.k8s.io";
    if !wanted.uid.is_empty() {
        asked.push(attributes(group, "uids", "", "", &wanted.uid));
    }
    for (key, values) in &wanted.extra {
        asked.extend(values.iter().map(|value| attributes(group, "userextras", key, "", value)));
    }
    asked.iter().try_for_each(|asked| api.rbac.check(caller, asked))
}

fn attributes(group: &str, resource: &str, subresource: &str, namespace: &str, name: &str) -> Attributes {
    Attributes {
        verb: "impersonate",
        group: group.to_owned(),
        version: "v1".to_owned(),
        namespace: namespace.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}
