//! CORS of a function URL: with a `Cors` configuration the preflight request of a browser is answered here, without the
//! function and without a signature, and every other answer carries what its origin may see. Without one, both are the
//! function's own affair. Pure.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response};

use crate::answer::{self, Body};
use crate::peer::text;
use crate::table::Cors;

const ANY: &str = "*";

/// Whether a browser asks what it may ask.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight request. A browser that may not ask gets one too, without permission.
pub(super) fn preflight(cors: &Cors, asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(answer::full(""));
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    let method = text(asked, &ACCESS_CONTROL_REQUEST_METHOD);
    let allowed = cors.methods.iter().any(|known| known == ANY || known.eq_ignore_ascii_case(method));
    let Some(origin) = origin(cors, text(asked, &ORIGIN)).filter(|_| allowed) else { return response };
    set(headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // To a browser that sends credentials `*` is a name like any other, so it is told what it asked for.
    let any = |known: &[String], asked: &str| match known.iter().any(|one| one == ANY) && cors.credentials {
        true => asked.to_owned(),
        false => known.join(","),
    };
    set(headers, ACCESS_CONTROL_ALLOW_METHODS, &any(&cors.methods, method));
    set(
        headers,
        ACCESS_CONTROL_ALLOW_HEADERS,
        &any(&cors.headers, text(asked, &ACCESS_CONTROL_REQUEST_HEADERS)),
    );
    if let Some(seconds) = cors.max_age {
        set(headers, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
    credentials(cors, headers);
    response
}

/// Marks an answer with what its origin may see, in place of what the function says about that.
pub(super) fn mark(cors: &Cors, asked: &HeaderMap, headers: &mut HeaderMap) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE,
    ] {
        headers.remove(name);
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin(cors, text(asked, &ORIGIN)) else { return };
    set(headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose.join(","));
    credentials(cors, headers);
}

/// The origin as the answer names it, if it is allowed.
fn origin<'a>(cors: &Cors, asked: &'a str) -> Option<&'a str> {
    if asked.is_empty() {
        return None;
    }
    match cors.origins.iter().any(|known| known == ANY) {
        true if cors.credentials => Some(asked),
        true => Some(ANY),
        false => cors.origins.iter().any(|known| known.eq_ignore_ascii_case(asked)).then_some(asked),
    }
}

fn credentials(cors: &Cors, headers: &mut HeaderMap) {
    if cors.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// What is empty, or no header can hold, is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Some(value) = HeaderValue::from_str(value).ok().filter(|value| !value.is_empty()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(headers: &HeaderMap) -> String {
        let mut all: Vec<String> = headers
            .iter()
            .map(|(name, value)| {
                let name = name.as_str().trim_start_matches("access-control-");
                format!("{name}={}", value.to_str().unwrap())
            })
            .collect();
        all.sort();
        all.join(" ")
    }

    fn asked(origin: &'static str, method: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static(method));
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("x-a"));
        headers
    }

    #[test]
    fn preflights() {
        let cors = json!({
            "allowOrigins": ["https://a.test"], "allowMethods": ["GET", "PUT"], "allowHeaders": ["x-a", "x-b"], "maxAge": 60,
        });
        let ask = |cors: &serde_json::Value, origin, method| {
            shown(preflight(&Cors::read(cors).unwrap(), &asked(origin, method)).headers())
        };
        assert_eq!(
            ask(&cors, "https://a.test", "PUT"),
            "allow-headers=x-a,x-b allow-methods=GET,PUT allow-origin=https://a.test max-age=60 vary=Origin"
        );
        assert_eq!(ask(&cors, "https://b.test", "PUT"), "vary=Origin");
        assert_eq!(ask(&cors, "https://a.test", "DELETE"), "vary=Origin");
        let any = json!({ "allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"] });
        assert_eq!(
            ask(&any, "https://b.test", "PUT"),
            "allow-headers=* allow-methods=* allow-origin=* vary=Origin"
        );
        let mut with = any;
        with["allowCredentials"] = json!(true);
        assert_eq!(
            ask(&with, "https://b.test", "PUT"),
            "allow-credentials=true allow-headers=x-a allow-methods=PUT allow-origin=https://b.test vary=Origin"
        );
    }

    #[test]
    fn answers() {
        let cors = json!({ "allowOrigins": ["https://a.test"], "exposeHeaders": ["x-made", "date"] });
        let answer = |origin| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            mark(&Cors::read(&cors).unwrap(), &asked(origin, "GET"), &mut headers);
            shown(&headers)
        };
        assert_eq!(
            answer("https://a.test"),
            "allow-origin=https://a.test expose-headers=x-made,date vary=Origin"
        );
        assert_eq!(answer("https://b.test"), "vary=Origin");
    }
}
