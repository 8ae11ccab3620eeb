//! Whether the server lives and is ready, and which version it is: the paths that anybody may ask.

use crate::{
    answer::{self, Reply},
    api::Api,
    call::Call,
    shape,
};
use http::StatusCode;
use object::Status;
use serde_json::json;

/// Whether `path` may be read without saying who one is.
pub(crate) fn is_public(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "livez" | "readyz" | "healthz" | "version")
}

/// Answers the public paths; `None` for all others.
pub(crate) fn answer(api: &Api, call: &Call, path: &str) -> Option<Reply> {
    let path = path.trim_matches('/');
    if path == "version" {
        return Some(shape::value(call, StatusCode::OK, &version()));
    }
    let (endpoint, check) = path.split_once('/').unwrap_or((path, ""));
    if !matches!(endpoint, "livez" | "readyz" | "healthz") {
        return None;
    }
    let checks =
        [("ping", true), ("log", true), ("store", api.cache.is_fed()), ("cache-sync", api.cache.is_fed())];
    if !check.is_empty() {
        let Some((_, good)) = checks.iter().find(|(name, _)| *name == check) else {
            return Some(Err(Status::no_such_resource()));
        };
        return Some(Ok(if *good {
            answer::text(StatusCode::OK, "ok")
        } else {
            answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{check} failed\n"))
        }));
    }
    let excluded = |name: &str| call.query.get("exclude") == name;
    let good = checks.iter().all(|(name, good)| *good || excluded(name));
    if good && !call.query.has("verbose") {
        return Some(Ok(answer::text(StatusCode::OK, "ok")));
    }
    let mut text = String::new();
    for (name, good) in checks {
        let line = match good {
            _ if excluded(name) => format!("[+]{name} excluded: ok\n"),
            true => format!("[+]{name} ok\n"),
            false => format!("[-]{name} failed: reason withheld\n"),
        };
        text.push_str(&line);
    }
    text.push_str(&format!("{endpoint} check {}\n", if good { "passed" } else { "failed" }));
    let code = if good { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    Some(Ok(answer::text(code, text)))
}

/// What `kubectl version` shows. The number is that of the Kubernetes whose contract this is.
pub(crate) fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": "37",
        "gitVersion": concat!("v1.37.0+dory-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }),
    })
}
