//! Discovery: which groups, versions and resources there are, in the old form (one document per group and version)
//! and the aggregated one. Made of the kinds table, the reviews, and what was made at run time; the same for every caller.

use crate::{answer, answer::Reply, api::Api, call::Call, media, review, usage};
use http::StatusCode;
use object::{Kind, Status};
use serde_json::{Value, json};

/// Every kind, then the other versions in which some are served, and then what was made at run time.
fn forms(api: &Api) -> Vec<&'static Kind> {
    let own = kinds::kinds().iter().copied().chain(kinds::editions().iter().map(|edition| &edition.form));
    let mut customs: Vec<&'static Kind> = api.cache.customs().forms().collect();
    // Versions of one group come in one order, whichever of its kinds has them.
    customs
        .sort_by(|a, b| a.group.cmp(b.group).then_with(|| object::name::version_order(a.version, b.version)));
    own.chain(customs).collect()
}

/// The groups with their versions, in the order of discovery; the first version of a group is the preferred one.
fn groups(api: &Api) -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    let kinds = forms(api).into_iter().map(|kind| (kind.group, kind.version));
    let reviews = review::REVIEWS.iter().map(|review| (review.group, "v1"));
    for group in kinds.chain(reviews).chain([(usage::GROUP, usage::VERSION)]) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// Every group and version that is served, the core group with an empty name.
pub(crate) fn group_versions(api: &Api) -> Vec<(&'static str, &'static str)> {
    groups(api)
}

/// Answers `/api` and `/apis`, and what is below them without naming a resource.
pub(crate) fn answer(api: &Api, call: &Call, path: &str) -> Option<Reply> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let aggregated = media::wants_aggregated(&call.headers);
    let value = match parts.as_slice() {
        ["api"] if aggregated => {
            return Some(Ok(send_aggregated(&group_list(api, |group| group.is_empty()))));
        }
        ["apis"] if aggregated => {
            return Some(Ok(send_aggregated(&group_list(api, |group| !group.is_empty()))));
        }
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]}),
        ["apis"] => {
            let named = names(api).into_iter().filter(|group| !group.is_empty());
            let groups: Vec<Value> = named.map(|group| group_of(api, group)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", group] => match names(api).into_iter().find(|own| own == group) {
            Some(group) => {
                let mut value = group_of(api, group);
                value["kind"] = "APIGroup".into();
                value["apiVersion"] = "v1".into();
                value
            }
            None => return Some(Err(Status::no_such_resource())),
        },
        ["api", version] => return Some(resources(api, call, "", version)),
        ["apis", group, version] => return Some(resources(api, call, group, version)),
        _ => return None,
    };
    Some(crate::shape::value(call, StatusCode::OK, &value))
}

fn send_aggregated(value: &Value) -> http::Response<answer::Body> {
    const MEDIA: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let mut response = answer::typed(StatusCode::OK, MEDIA, answer::full(value.to_string()));
    response.headers_mut().insert(http::header::VARY, http::HeaderValue::from_static("Accept"));
    response
}

/// The names of the groups.
fn names(api: &Api) -> Vec<&'static str> {
    let mut names: Vec<&str> = groups(api).into_iter().map(|(group, _)| group).collect();
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    names
}

/// The versions of a group, the preferred one first.
fn versions(api: &Api, group: &str) -> impl Iterator<Item = &'static str> {
    groups(api).into_iter().filter(move |(own, _)| *own == group).map(|(_, version)| version)
}

fn group_of(api: &Api, group: &str) -> Value {
    let version = |version| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions: Vec<Value> = versions(api, group).map(version).collect();
    json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
}

fn resources(api: &Api, call: &Call, group: &str, version: &str) -> Reply {
    let kinds: Vec<&Kind> = kinds_of(api, group, version).collect();
    let reviews: Vec<&review::Review> =
        review::REVIEWS.iter().filter(|own| own.group == group && version == "v1").collect();
    let measured =
        if (group, version) == (usage::GROUP, usage::VERSION) { &usage::RESOURCES[..] } else { &[] };
    if kinds.is_empty() && reviews.is_empty() && measured.is_empty() {
        return Err(Status::no_such_resource());
    }
    let mut list: Vec<Value> = kinds.into_iter().flat_map(entries).collect();
    list.extend(reviews.into_iter().map(|own| {
        json!({"name": own.plural, "singularName": own.kind.to_lowercase(), "namespaced": own.namespaced,
            "kind": own.kind, "verbs": ["create"]})
    }));
    list.extend(measured.iter().map(|(plural, kind, namespaced)| {
        json!({"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]})
    }));
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let value =
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": list});
    crate::shape::value(call, StatusCode::OK, &value)
}

fn kinds_of<'a>(
    api: &Api,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'static Kind> + use<'a> {
    forms(api).into_iter().filter(move |kind| kind.group == group && kind.version == version)
}

/// The resource and its subresources, in the old form.
fn entries(kind: &'static Kind) -> Vec<Value> {
    let mut main = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs});
    if !kind.short_names.is_empty() {
        main["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        main["categories"] = json!(kind.categories);
    }
    let mut list = vec![main];
    for own in kind.subresources {
        let (group, version) = own.group_version;
        let body = if own.kind.is_empty() { kind.kind } else { own.kind };
        let mut entry = json!({"name": format!("{}/{}", kind.plural, own.name), "singularName": "",
            "namespaced": kind.namespaced, "kind": body, "verbs": own.verbs});
        if !version.is_empty() {
            entry["group"] = group.into();
            entry["version"] = version.into();
        }
        list.push(entry);
    }
    list
}

fn group_list(api: &Api, wanted: impl Fn(&str) -> bool) -> Value {
    let groups = names(api).into_iter().filter(|group| wanted(group));
    let items: Vec<Value> = groups
        .map(|group| {
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            let versions: Vec<Value> = versions(api, group)
                .map(|version| {
                    let resources = aggregated_resources(api, group, version);
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resources(api: &Api, group: &str, version: &str) -> Vec<Value> {
    let mut resources: Vec<Value> = kinds_of(api, group, version).map(aggregated).collect();
    let reviews = review::REVIEWS.iter().filter(|own| own.group == group);
    resources.extend(reviews.map(|own| {
        json!({"resource": own.plural, "responseKind": kind_of(group, "v1", own.kind),
            "scope": scope(own.namespaced), "singularResource": own.kind.to_lowercase(), "verbs": ["create"]})
    }));
    if group == usage::GROUP {
        resources.extend(usage::RESOURCES.iter().map(|(plural, kind, namespaced)| {
            json!({"resource": plural, "responseKind": kind_of(group, version, kind),
                "scope": scope(*namespaced), "singularResource": "", "verbs": ["get", "list"]})
        }));
    }
    resources
}

fn scope(namespaced: bool) -> &'static str {
    if namespaced { "Namespaced" } else { "Cluster" }
}

fn kind_of(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn aggregated(kind: &'static Kind) -> Value {
    let mut entry = json!({"resource": kind.plural, "responseKind": kind_of(kind.group, kind.version, kind.kind),
        "scope": scope(kind.namespaced), "singularResource": kind.singular, "verbs": kind.verbs});
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    let below = kind.subresources.iter().map(|own| {
        let (group, version) =
            if own.group_version.1.is_empty() { (kind.group, kind.version) } else { own.group_version };
        let body = if own.kind.is_empty() { kind.kind } else { own.kind };
        json!({"subresource": own.name, "responseKind": kind_of(group, version, body), "verbs": own.verbs})
    });
    let below: Vec<Value> = below.collect();
    if !below.is_empty() {
        entry["subresources"] = below.into();
    }
    entry
}
