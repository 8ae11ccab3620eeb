//! What the pattern of a subscription may be: beside what patterns are (`managed::Pattern`), the limits of topics ("Filter policy
//! constraints", SNS developer guide). Pure.

use super::{Fault, invalid};
use managed::Pattern;
use serde_json::{Map, Value};

const BYTES_MAX: usize = 256 << 10;
const KEYS_MAX: usize = 5;
/// What its keys may be, multiplied; those of bodies by how deep they are, too.
const COMBINATIONS_MAX: usize = 150;

/// Checks a pattern.
pub(super) fn check(text: &str, of_body: bool) -> Result<(), Fault> {
    let wrong = |why: &str| invalid(&format!("FilterPolicy: {why}"));
    Pattern::read(text).map_err(|why| wrong(&why))?;
    let document: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let mut keys = Vec::new();
    leaves(&document, 1, &mut keys);
    if !of_body && keys.iter().any(|(depth, _)| *depth > 1) {
        return Err(wrong("Filter policy scope MessageAttributes does not support nested filter policy"));
    }
    let combinations = keys.iter().fold(1_usize, |all, (depth, values)| all.saturating_mul(values * depth));
    if keys.len() > KEYS_MAX {
        return Err(wrong(&format!("Filter policy can not have more than {KEYS_MAX} keys")));
    }
    if combinations > COMBINATIONS_MAX || text.len() > BYTES_MAX {
        return Err(wrong("Filter policy is too complex"));
    }
    Ok(())
}

/// How deep each key is, and how many values it may have.
fn leaves(members: &Map<String, Value>, depth: usize, keys: &mut Vec<(usize, usize)>) {
    for (name, value) in members {
        match value {
            Value::Object(inner) => leaves(inner, depth + 1, keys),
            Value::Array(ways) if name == "$or" => {
                ways.iter().filter_map(Value::as_object).for_each(|way| leaves(way, depth, keys));
            }
            Value::Array(values) => keys.push((depth, values.len())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_limits() {
        let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        for (text, of_body) in [
            (
                r#"{"a": ["x"], "b": [{"prefix": "p"}], "c": [{"numeric": [">", 1, "<", 2]}], "d": [{"exists": true}]}"#,
                false,
            ),
            (r#"{"$or": [{"a": ["x"]}, {"b": [{"anything-but": ["y"]}]}]}"#, false),
            (r#"{"a": {"b": {"c": ["x"]}}}"#, true),
            (&format!(r#"{{"a": {}}}"#, many(150)), false),
        ] {
            assert_eq!(check(text, of_body), Ok(()), "{text}");
        }
        for (text, of_body) in [
            (r#"{"a": {"b": ["x"]}}"#, false),
            (r#"{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}"#, true),
            (&format!(r#"{{"a": {}}}"#, many(151)), false),
            (&format!(r#"{{"a": {{"b": {}}}}}"#, many(76)), true),
            (r#"{"a": "x"}"#, false),
            (r#"{"a": []}"#, false),
            (r#"{"a": [{"wildcard": "*"}]}"#, false),
            (r#"{"a": [{"numeric": ["<", "x"]}]}"#, false),
            (r#"{"a": [{"prefix": 1}]}"#, false),
            (r#"{"a": [{"exists": "yes"}]}"#, false),
            (r#"{"a": [{"cidr": "10.0.0.0/24"}]}"#, false),
            ("[]", false),
            ("{", false),
        ] {
            assert_eq!(check(text, of_body).expect_err(text).code, "InvalidParameter", "{text}");
        }
    }
}
