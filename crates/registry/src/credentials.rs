//! Names and passwords for registries, as docker's configuration file and pull secrets hold them. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whom the registry knows.
    pub username: String,
    /// His password or token.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.username)
    }
}

impl Credentials {
    /// The value of an Authorization header.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

/// The credentials that a docker configuration (`{"auths": …}`, or in the older form its inside alone) has for a
/// repository: those of the longest matching entry first. Entries are hosts, perhaps with a path; the scheme and an API
/// version in them say nothing.
#[must_use]
pub fn docker_config(config: &Value, host: &str, path: &str) -> Vec<Credentials> {
    let entries = config.get("auths").unwrap_or(config).as_object();
    let mut found: Vec<(usize, Credentials)> = Vec::new();
    for (key, entry) in entries.into_iter().flatten() {
        let place = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        let place = place.strip_suffix("/v1").or(place.strip_suffix("/v2")).unwrap_or(place);
        let (own, below) = place.split_once('/').unwrap_or((place, ""));
        let inside = below.is_empty() || path == below || path.starts_with(&format!("{below}/"));
        if is_host(own, host) && inside {
            found.extend(read(entry).map(|credentials| (place.len(), credentials)));
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, credentials)| credentials).collect()
}

/// `*` stands for one label or a part of one; the index of a registry is the registry.
fn is_host(pattern: &str, host: &str) -> bool {
    let pattern = pattern.strip_prefix("index.").unwrap_or(pattern);
    let (own, other): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), host.split('.').collect());
    own.len() == other.len() && own.iter().zip(&other).all(|(own, other)| is_label(own, other))
}

fn is_label(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == label,
        Some((before, after)) => {
            label.len() >= before.len() + after.len() && label.starts_with(before) && label.ends_with(after)
        }
    }
}

fn read(entry: &Value) -> Option<Credentials> {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Some(Credentials { username, password });
    }
    let both = String::from_utf8(STANDARD.decode(text("auth")?).ok()?).ok()?;
    let (username, password) = both.split_once(':')?;
    Some(Credentials { username: username.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(config: &Value, host: &str, path: &str) -> Vec<String> {
        docker_config(config, host, path).into_iter().map(|own| own.username).collect()
    }

    #[test]
    fn the_longest_entry_comes_first() {
        let config = json!({ "auths": {
            "localhost:5000": { "username": "all", "password": "x" },
            "https://localhost:5000/v2/": { "auth": STANDARD.encode("same:y:z") },
            "localhost:5000/team": { "username": "team", "password": "x" },
            "*.registry.test": { "username": "star", "password": "x" },
            "other": { "username": "other", "password": "x" },
            "broken": { "auth": "%" },
        }});
        assert_eq!(names(&config, "localhost:5000", "team/app"), ["team", "same", "all"]);
        assert_eq!(names(&config, "localhost:5000", "teams"), ["same", "all"]);
        assert_eq!(names(&config, "eu.registry.test", "a"), ["star"]);
        assert_eq!(names(&config, "broken", "a"), Vec::<String>::new());
        let same = docker_config(&config, "localhost:5000", "x");
        assert_eq!(same[0].password, "y:z");
    }

    #[test]
    fn the_older_form_has_no_auths() {
        let config = json!({ "https://index.docker.io/v1/": { "username": "me", "password": "x" } });
        assert_eq!(names(&config, "docker.io", "library/a"), ["me"]);
        assert_eq!(format!("{:?}", docker_config(&config, "docker.io", "a")), "[Credentials(me)]");
    }
}
