//! What a request is about, read from its method and path alone: the question that authorization answers. Knows
//! the grammar of paths, not which resources exist.

use crate::query::Query;
use http::Method;
use percent_encoding::percent_decode_str;

/// Verb and object of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: &'static str,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    /// Empty when the request is for a path, not for a resource.
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) name: String,
    /// What follows the subresource, for proxies.
    pub(crate) rest: String,
    pub(crate) path: String,
}

impl Attributes {
    /// Reads method and path.
    pub(crate) fn of(method: &Method, path: &str, query: &Query) -> Attributes {
        let mut own = Attributes { path: path.to_owned(), verb: lower(method), ..Attributes::default() };
        let segments: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let rest = match segments.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                own.version = version.to_string();
                rest
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                own.group = group.to_string();
                own.version = version.to_string();
                rest
            }
            _ => return own,
        };
        own.read_resource(rest);
        own.verb = verb(method, &own.name, query);
        if own.name.is_empty() && matches!(own.verb, "list" | "watch" | "deletecollection") {
            own.name = single_name(query.get("fieldSelector")).to_owned();
        }
        own
    }

    fn read_resource(&mut self, rest: &[&str]) {
        let rest = match rest {
            // The namespace itself, and what is below it, are resources as well.
            ["namespaces", name, "status" | "finalize"] => {
                self.namespace = name.to_string();
                rest
            }
            ["namespaces", namespace, below @ ..] if !below.is_empty() => {
                self.namespace = namespace.to_string();
                below
            }
            ["namespaces", name] => {
                self.namespace = name.to_string();
                rest
            }
            _ => rest,
        };
        let mut parts = rest.iter().copied();
        self.resource = parts.next().unwrap_or_default().to_owned();
        self.name = parts.next().unwrap_or_default().to_owned();
        self.subresource = parts.next().unwrap_or_default().to_owned();
        self.rest = parts.collect::<Vec<_>>().join("/");
    }

    /// Whether the request is for a resource, not for a path such as `/version`.
    pub(crate) fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }

    /// `pods/log`
    pub(crate) fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

fn lower(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

fn verb(method: &Method, name: &str, query: &Query) -> &'static str {
    match *method {
        Method::GET | Method::HEAD if !name.is_empty() => "get",
        Method::GET | Method::HEAD if query.flag("watch") => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// `metadata.name=x` makes a list a question about one object.
fn single_name(selector: &str) -> &str {
    let mut terms = selector.split(',').filter_map(|term| term.strip_prefix("metadata.name="));
    terms.next().map(|name| name.trim_start_matches('=')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: Method, path: &str, query: &str) -> String {
        let a = Attributes::of(&method, path, &Query::parse(Some(query)));
        format!(
            "{} {}/{} ns={} {} name={}",
            a.verb,
            a.group,
            a.version,
            a.namespace,
            a.full_resource(),
            a.name
        )
    }

    #[test]
    fn paths() {
        for (method, path, query, expected) in [
            (Method::GET, "/api/v1/namespaces/a/pods/b/log", "", "get /v1 ns=a pods/log name=b"),
            (Method::GET, "/api/v1/pods", "watch=1", "watch /v1 ns= pods name="),
            (Method::GET, "/api/v1/namespaces/a", "", "get /v1 ns=a namespaces name=a"),
            (Method::PUT, "/api/v1/namespaces/a/finalize", "", "update /v1 ns=a namespaces/finalize name=a"),
            (
                Method::DELETE,
                "/apis/apps/v1/namespaces/a/deployments",
                "",
                "deletecollection apps/v1 ns=a deployments name=",
            ),
            (
                Method::GET,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "",
                "get rbac.authorization.k8s.io/v1 ns= clusterroles name=system:node",
            ),
            (Method::GET, "/api/v1/pods", "fieldSelector=metadata.name%3Dx", "list /v1 ns= pods name=x"),
            (Method::GET, "/version", "", "get / ns=  name="),
            (Method::POST, "/apis/apps/v1", "", "post / ns=  name="),
        ] {
            assert_eq!(read(method, path, query), expected, "{path}");
        }
    }
}
