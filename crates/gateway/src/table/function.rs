//! A function with a URL: its name, who may call it, and its routes with path parameters, written as API Gateway's
//! HTTP APIs write them (`GET /users/{userId}`, `ANY /files/{path+}`).

use client::Key;
use percent_encoding::percent_decode_str;
use policy::{Kind, Policy};
use serde_json::Value;

use super::Functions;
use super::cors::Cors;

/// A function that answers HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) namespace: String,
    /// As AWS clients call it.
    pub(crate) name: String,
    /// The URL's id.
    pub(crate) id: String,
    /// Whether callers must sign (`AWS_IAM`).
    pub(crate) signed: bool,
    /// The resource policy: who may call. None when there is none that can be read.
    pub(crate) policy: Option<Policy>,
    /// What browsers may do, unless the function answers that itself.
    pub(crate) cors: Option<Cors>,
    /// The alias that the URL is of.
    pub(crate) qualifier: Option<String>,
    /// Whether answers are passed on while the function writes them (`RESPONSE_STREAM`).
    pub(crate) streams: bool,
    routes: Vec<Route>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    /// As written, for the event's `routeKey`.
    key: String,
    /// None for `ANY`.
    method: Option<String>,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{name}`: one segment.
    One(String),
    /// `{name+}`: this and all that follow.
    Rest(String),
}

/// The route a request takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteMatch {
    /// `$default` or the route as written.
    pub(crate) key: String,
    /// The path parameters, decoded.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Function {
    /// Reads a `Function` object; none if it has no URL.
    pub(crate) fn read(object: &Value) -> Option<Function> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (metadata, url) = (&object["metadata"], &object["spec"]["url"]);
        url.as_object()?;
        let called = metadata["annotations"][::functions::NAME_ANNOTATION].as_str();
        let routes = url["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Function {
            namespace: text(&metadata["namespace"]),
            name: called.map_or_else(|| text(&metadata["name"]), str::to_owned),
            id: text(&url["id"]),
            // Anything but NONE, also a word of a later version, is not open to everybody.
            signed: url["authType"].as_str().unwrap_or("NONE") != "NONE",
            policy: object["spec"]["policy"]
                .as_str()
                .and_then(|text| Policy::read(text, Kind::Resource).ok()),
            cors: Cors::read(&url["cors"]),
            qualifier: None,
            streams: url["invokeMode"] == "RESPONSE_STREAM",
            routes: routes.iter().filter_map(|route| Route::read(route.as_str()?)).collect(),
        })
    }

    /// Reads a `FunctionAlias` object with a URL of its own; none if it has none, or its function is not there.
    pub(crate) fn of_alias(alias: &Value, functions: &Functions) -> Option<Function> {
        alias["spec"]["url"].as_object()?;
        let (metadata, spec) = (&alias["metadata"], &alias["spec"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let owner = Key::new(text(&metadata["namespace"]), text(&spec["functionName"]));
        let name = functions.name(&owner)?.to_owned();
        let qualifier = spec["name"].as_str().map(str::to_owned);
        Some(Function { name, qualifier, ..Function::read(alias)? })
    }

    /// The ARN that its policy speaks of.
    pub(crate) fn arn(&self, region: &str, account_id: &str) -> String {
        let qualifier = self.qualifier.as_ref().map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
        format!("arn:aws:lambda:{region}:{account_id}:function:{}{qualifier}", self.name)
    }

    /// The route of a request: the most specific one. Without routes everything is `$default`; with routes, what
    /// matches none is nobody's, as on API Gateway.
    pub(crate) fn route(&self, method: &str, path: &str) -> Option<RouteMatch> {
        if self.routes.is_empty() {
            return Some(RouteMatch { key: "$default".to_owned(), parameters: Vec::new() });
        }
        let matching = self.routes.iter().filter_map(|route| Some((route, route.parameters(method, path)?)));
        let (route, parameters) = matching.max_by_key(|(route, _)| route.specificity())?;
        Some(RouteMatch { key: route.key.clone(), parameters })
    }
}

impl Route {
    fn read(text: &str) -> Option<Route> {
        let (method, path) = text.split_once(' ')?;
        let segments =
            path.strip_prefix('/')?.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
                match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    Some(name) => match name.strip_suffix('+') {
                        Some(name) => Segment::Rest(name.to_owned()),
                        None => Segment::One(name.to_owned()),
                    },
                    None => Segment::Literal(segment.to_owned()),
                }
            });
        let method = (method != "ANY").then(|| method.to_owned());
        Some(Route { key: text.to_owned(), method, segments: segments.collect() })
    }

    fn parameters(&self, method: &str, path: &str) -> Option<Vec<(String, String)>> {
        if self.method.as_deref().is_some_and(|wanted| wanted != method) {
            return None;
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        let mut parameters = Vec::new();
        for segment in &self.segments {
            let (first, after) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                _ if rest.is_empty() => return None,
                Segment::Literal(text) if decode(first) != *text => return None,
                Segment::Literal(_) => rest = after,
                Segment::One(name) => {
                    parameters.push((name.clone(), decode(first)));
                    rest = after;
                }
                Segment::Rest(name) => {
                    parameters.push((name.clone(), decode(rest)));
                    rest = "";
                }
            }
        }
        rest.is_empty().then_some(parameters)
    }

    /// API Gateway's order: literal segments before parameters before greedy ones, from the left; then a method
    /// before `ANY`.
    fn specificity(&self) -> (Vec<u8>, bool) {
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 3,
            Segment::One(_) => 2,
            Segment::Rest(_) => 1,
        };
        (self.segments.iter().map(rank).collect(), self.method.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::Function;
    use serde_json::json;

    fn matched(routes: &[&str], method: &str, path: &str) -> Option<(String, Vec<(String, String)>)> {
        let url = json!({ "id": "abc", "authType": "NONE", "routes": routes });
        let object = json!({ "metadata": { "name": "f", "namespace": "default" }, "spec": { "url": url } });
        Function::read(&object).unwrap().route(method, path).map(|found| (found.key, found.parameters))
    }

    fn with(key: &str, parameters: &[(&str, &str)]) -> Option<(String, Vec<(String, String)>)> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Some((key.to_owned(), parameters.collect()))
    }

    #[test]
    fn path_parameters() {
        let users = "GET /users/{userId}";
        assert_eq!(matched(&[users], "GET", "/users/42"), with(users, &[("userId", "42")]));
        assert_eq!(matched(&[users], "GET", "/users/a%20b"), with(users, &[("userId", "a b")]));
        for (method, path) in
            [("POST", "/users/42"), ("GET", "/users"), ("GET", "/users/"), ("GET", "/users/42/x")]
        {
            assert_eq!(matched(&[users], method, path), None, "{method} {path}");
        }
        let files = "ANY /files/{path+}";
        assert_eq!(matched(&[files], "PUT", "/files/a/b"), with(files, &[("path", "a/b")]));
        assert_eq!(matched(&[files], "PUT", "/files"), None);
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = ["ANY /{all+}", "ANY /users/{id}", "GET /users/{id}", "GET /users/me"];
        assert_eq!(matched(&routes, "GET", "/users/me"), with(routes[3], &[]));
        assert_eq!(matched(&routes, "GET", "/users/7"), with(routes[2], &[("id", "7")]));
        assert_eq!(matched(&routes, "PUT", "/users/7"), with(routes[1], &[("id", "7")]));
        assert_eq!(matched(&routes, "PUT", "/x/y"), with(routes[0], &[("all", "x/y")]));
        assert_eq!(matched(&[], "PUT", "/x/y"), with("$default", &[]));
    }
}
