//! JSONPath as printer columns use it: fields, list indexes, wildcards, and filters such as
//! `.status.conditions[?(@.type=="Ready")].status`.

use serde_json::Value;

/// Longer paths are refused: nobody writes them, and each step costs.
const STEPS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    /// Some of a list: first, behind the last, how far apart.
    Slice(Option<i64>, Option<i64>),
    All,
    /// All below, however deep.
    Deep,
    Filter(Vec<Step>, Test),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    There,
    Compare(&'static str, Value),
}

/// A path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Reads a path, which begins with a dot or a bracket; the error says what is wrong.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        let text = text.trim();
        let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let text = text.strip_prefix('$').unwrap_or(text);
        if !text.starts_with(['.', '[']) {
            return Err(format!("{text:?} does not begin with a dot"));
        }
        Ok(JsonPath(steps(text)?))
    }

    /// What the path leads to.
    pub(crate) fn find<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        walk(&self.0, object)
    }
}

fn steps(mut text: &str) -> Result<Vec<Step>, String> {
    let mut out = Vec::new();
    while !text.is_empty() {
        if out.len() > STEPS_MAX {
            return Err(format!("it has more than {STEPS_MAX} steps"));
        }
        if let Some(rest) = text.strip_prefix("..") {
            out.push(Step::Deep);
            text = rest;
            if !text.starts_with('[') {
                text = field(text, &mut out)?;
            }
        } else if let Some(rest) = text.strip_prefix('.') {
            text = if rest.starts_with('[') || rest.is_empty() { rest } else { field(rest, &mut out)? };
        } else if let Some(rest) = text.strip_prefix('[') {
            let end = closing(rest).ok_or_else(|| format!("a bracket is not closed: [{rest}"))?;
            out.push(bracket(rest[..end].trim())?);
            text = &rest[end + 1..];
        } else {
            return Err(format!("{text:?} is not understood"));
        }
    }
    Ok(out)
}

/// A name after a dot; a backslash keeps the dot that follows.
fn field<'a>(text: &'a str, out: &mut Vec<Step>) -> Result<&'a str, String> {
    let (mut name, mut end, mut escaped) = (String::new(), text.len(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => {
                end = at;
                break;
            }
            _ => {
                name.push(c);
                escaped = false;
            }
        }
    }
    match name.as_str() {
        "" => return Err("a name is missing after a dot".into()),
        "*" => out.push(Step::All),
        _ => out.push(Step::Field(name)),
    }
    Ok(&text[end..])
}

/// Where the bracket that was opened before closes.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Result<Step, String> {
    if inner == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = quoted(inner) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some(test) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return filter(test.trim());
    }
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("[{inner}] is not understood"));
    match inner.split_once(':') {
        None => number(inner).map(Step::Index),
        Some((from, to)) => {
            let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
            Ok(Step::Slice(bound(from)?, bound(to)?))
        }
    }
}

fn quoted(text: &str) -> Option<&str> {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"'))
}

fn filter(test: &str) -> Result<Step, String> {
    let operators = ["==", "!=", "<=", ">=", "<", ">"];
    let found = operators.into_iter().filter_map(|op| Some((test.find(op)?, op))).min_by_key(|(at, _)| *at);
    let left = |text: &str| match text.trim().strip_prefix('@') {
        Some(path) => steps(path),
        None => Err(format!("a filter begins with @: {test}")),
    };
    let Some((at, op)) = found else { return Ok(Step::Filter(left(test)?, Test::There)) };
    let right = test[at + op.len()..].trim();
    let value = match quoted(right) {
        Some(text) => text.into(),
        None => serde_json::from_str(right).map_err(|_| format!("{right:?} is not understood"))?,
    };
    Ok(Step::Filter(left(&test[..at])?, Test::Compare(op, value)))
}

fn walk<'a>(steps: &[Step], object: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![object];
    for step in steps {
        found = found.into_iter().flat_map(|value| one(step, value)).collect();
    }
    found
}

fn one<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    let list = || value.as_array().map_or(&[][..], Vec::as_slice);
    let place = |index: i64| {
        let len = i64::try_from(list().len()).unwrap_or(i64::MAX);
        usize::try_from(if index < 0 { len + index } else { index }).ok()
    };
    match step {
        Step::Field(name) => value.get(name.as_str()).into_iter().collect(),
        Step::Index(index) => place(*index).and_then(|at| list().get(at)).into_iter().collect(),
        Step::Slice(from, to) => {
            let from = from.and_then(place).unwrap_or(0);
            let to = to.and_then(place).unwrap_or(list().len()).min(list().len());
            list().get(from..to).unwrap_or_default().iter().collect()
        }
        Step::All => match value {
            Value::Object(map) => map.values().collect(),
            _ => list().iter().collect(),
        },
        Step::Deep => {
            let mut out = vec![value];
            for below in one(&Step::All, value) {
                out.extend(one(&Step::Deep, below));
            }
            out
        }
        Step::Filter(path, test) => list()
            .iter()
            .filter(|item| walk(path, item).into_iter().any(|found| passes(found, test)))
            .collect(),
    }
}

fn passes(found: &Value, test: &Test) -> bool {
    let Test::Compare(op, wanted) = test else { return true };
    let order = match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match *op {
        "==" => found == wanted || order.is_some_and(|o| o.is_eq()),
        "!=" => found != wanted && !order.is_some_and(|o| o.is_eq()),
        "<" => order.is_some_and(|o| o.is_lt()),
        "<=" => order.is_some_and(|o| o.is_le()),
        ">" => order.is_some_and(|o| o.is_gt()),
        _ => order.is_some_and(|o| o.is_ge()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_where_they_say() {
        let object = json!({"spec": {"a.b": 1, "list": [1, 2, 3]}, "status": {"conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}});
        for (path, want) in [
            (".spec.list[1]", json!([2])),
            (".spec.list[-1]", json!([3])),
            (".spec.list[0:2]", json!([1, 2])),
            (".spec.list[*]", json!([1, 2, 3])),
            (r".spec.a\.b", json!([1])),
            (".spec['a.b']", json!([1])),
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type=='Other')].status", json!(["False"])),
            ("..type", json!(["Ready", "Other"])),
            (".status.none", json!([])),
        ] {
            let found = JsonPath::parse(path).expect(path);
            assert_eq!(json!(found.find(&object)), want, "{path}");
        }
        for bad in ["spec", ".spec[", ".spec[x]", "", ".a..", ".a[?(b)]"] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }
}
