//! `$(NAME)` in env values, commands and arguments. Pure. Rule: KEP-less, the API documentation of `Container.args`: an
//! unknown name stays as written, `$$` is a dollar sign.

/// Replaces every `$(NAME)` that `lookup` knows.
pub(crate) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|open| open.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn follows_the_documented_rules() {
        let cases = [
            ("$(A)-$(B)", "1-2"),
            ("$(NOPE)", "$(NOPE)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("cost $5 $", "cost $5 $"),
            ("$(A", "$(A"),
            ("", ""),
        ];
        for (text, expected) in cases {
            let lookup = |name: &str| match name {
                "A" => Some("1"),
                "B" => Some("2"),
                _ => None,
            };
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }
}
