//! `Condition`: every operator must hold for every one of its keys. An operator that is not known here decides nothing,
//! and the statement then errs on the side of refusing.

use crate::document::strings;
use crate::is_like;
use serde_json::{Map, Value};

/// Keys of the request and their values; keys are written in any case.
pub(crate) type Context<'a> = &'a [(&'a str, &'a str)];

/// Whether the conditions hold; `None` when one of them cannot be decided here.
pub(crate) fn holds(condition: &Map<String, Value>, context: Context<'_>) -> Option<bool> {
    let mut all = true;
    for (operator, keys) in condition {
        for (key, wanted) in keys.as_object()? {
            let value =
                context.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value);
            all &= one(operator, value, wanted)?;
        }
    }
    Some(all)
}

fn one(operator: &str, value: Option<&str>, wanted: &Value) -> Option<bool> {
    let wanted = match wanted {
        Value::Bool(truth) => vec![truth.to_string()],
        other => strings(other)?,
    };
    if operator == "Null" {
        return Some(wanted.iter().any(|wanted| (wanted == "true") == value.is_none()));
    }
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    type Test = fn(&str, &str) -> bool;
    let (not, fits): (bool, Test) = match operator {
        "StringEquals" => (false, |wanted, value| wanted == value),
        "StringNotEquals" => (true, |wanted, value| wanted == value),
        "StringEqualsIgnoreCase" | "Bool" => (false, |wanted, value| wanted.eq_ignore_ascii_case(value)),
        "StringNotEqualsIgnoreCase" => (true, |wanted, value| wanted.eq_ignore_ascii_case(value)),
        "StringLike" | "ArnLike" | "ArnEquals" => (false, is_like),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (true, is_like),
        _ => return None,
    };
    // A key that the request has not: what asks for a value fails, what forbids one holds.
    let Some(value) = value else { return Some(if_exists || not) };
    Some(wanted.iter().any(|wanted| fits(wanted, value)) != not)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(condition: Value) -> Option<bool> {
        let context = [("aws:SourceAccount", "000000000000"), ("lambda:FunctionUrlAuthType", "NONE")];
        super::holds(condition.as_object().expect("an object"), &context)
    }

    #[test]
    fn operators() {
        assert_eq!(holds(json!({"StringEquals": {"AWS:SourceAccount": ["1", "000000000000"]}})), Some(true));
        assert_eq!(holds(json!({"StringEquals": {"AWS:SourceAccount": "1"}})), Some(false));
        assert_eq!(holds(json!({"StringNotEquals": {"lambda:FunctionUrlAuthType": "NONE"}})), Some(false));
        assert_eq!(holds(json!({"StringLike": {"aws:SourceAccount": "0*"}})), Some(true));
        assert_eq!(holds(json!({"ArnLike": {"aws:SourceArn": "*"}})), Some(false));
        assert_eq!(holds(json!({"ArnLikeIfExists": {"aws:SourceArn": "x"}})), Some(true));
        assert_eq!(holds(json!({"Null": {"aws:SourceArn": "true"}})), Some(true));
        assert_eq!(holds(json!({"Bool": {"aws:SecureTransport": true}})), Some(false));
        assert_eq!(holds(json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})), None);
    }
}
