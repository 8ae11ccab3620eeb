//! What a registry answers to whom it does not know: `WWW-Authenticate` (RFC 9110, and the token protocol of the
//! distribution project). Pure.

/// What the registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    /// A token from `realm`.
    Bearer {
        realm: String,
        service: String,
        scope: String,
    },
}

/// Reads one header value.
pub(crate) fn parse(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut found = [String::new(), String::new(), String::new()];
    let mut rest = rest.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let place = ["realm", "service", "scope"].iter().position(|known| name.eq_ignore_ascii_case(known));
        if let Some(place) = place {
            value.clone_into(&mut found[place]);
        }
        rest = left.trim_start_matches([',', ' ']);
    }
    let [realm, service, scope] = found;
    (!realm.is_empty()).then_some(Challenge::Bearer { realm, service, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        assert_eq!(parse("Basic realm=\"x\""), Some(Challenge::Basic));
        let text = "Bearer realm=\"http://localhost/token\",service=reg, scope=\"repository:a/b:pull,push\"";
        let bearer = Challenge::Bearer {
            realm: "http://localhost/token".into(),
            service: "reg".into(),
            scope: "repository:a/b:pull,push".into(),
        };
        assert_eq!(parse(text), Some(bearer));
        for nothing in ["", "Digest realm=x", "Bearer", "Bearer realm=\"open", "Bearer scope=x"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }
}
