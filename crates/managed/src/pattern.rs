//! Patterns of events, as EventBridge has them: Lambda filters what comes from queues by them ("Control which events Lambda sends
//! to your function", developer guide), and topics what subscriptions get. Pure.

use serde_json::{Map, Value};

/// How deep patterns may go.
const DEPTH_MAX: usize = 32;

/// What an event must look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Fields);

#[derive(Debug, Clone, PartialEq)]
struct Fields {
    /// Each must match.
    all: Vec<(String, Node)>,
    /// `$or`: one must match.
    any: Option<Vec<Fields>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Fields(Fields),
    /// One must hold.
    Tests(Vec<Test>),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equals(Value),
    EqualsIgnoreCase(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
    /// None of these.
    Not(Vec<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Pattern {
    /// Reads a pattern, with all that it asks.
    pub fn read(text: &str) -> Result<Pattern, String> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        match document {
            Value::Object(members) => Ok(Pattern(Fields::read(&members, DEPTH_MAX)?)),
            _ => Err("it is not an object".to_owned()),
        }
    }

    /// Whether an event looks so.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.matches(event)
    }
}

impl Fields {
    fn read(members: &Map<String, Value>, depth: usize) -> Result<Fields, String> {
        let depth = depth.checked_sub(1).ok_or("it is nested too deep")?;
        let (mut all, mut any) = (Vec::new(), None);
        for (name, value) in members {
            match (name.as_str(), value) {
                ("$or", Value::Array(ways)) if ways.len() > 1 && ways.iter().all(Value::is_object) => {
                    let ways = ways.iter().filter_map(Value::as_object);
                    any = Some(ways.map(|way| Fields::read(way, depth)).collect::<Result<_, _>>()?);
                }
                (_, Value::Object(members)) => {
                    all.push((name.clone(), Node::Fields(Fields::read(members, depth)?)));
                }
                (_, Value::Array(tests)) if !tests.is_empty() => {
                    let tests = tests.iter().map(Test::read).collect::<Result<_, _>>()?;
                    all.push((name.clone(), Node::Tests(tests)));
                }
                _ => return Err(format!("{name} must be an object or a list of what it may be")),
            }
        }
        if all.is_empty() && any.is_none() {
            return Err("an object in it is empty".to_owned());
        }
        Ok(Fields { all, any })
    }

    fn matches(&self, event: &Value) -> bool {
        // Of a list of objects one must match.
        if let Value::Array(items) = event {
            return items.iter().any(|item| self.matches(item));
        }
        let any = self.any.as_ref().is_none_or(|ways| ways.iter().any(|way| way.matches(event)));
        any && self.all.iter().all(|(name, node)| match node {
            Node::Fields(fields) => fields.matches(event.get(name).unwrap_or(&Value::Null)),
            Node::Tests(tests) => tests.iter().any(|test| test.holds(event.get(name))),
        })
    }
}

impl Test {
    fn read(value: &Value) -> Result<Test, String> {
        let Value::Object(members) = value else {
            return match value {
                Value::Array(_) => Err("a list stands in a list".to_owned()),
                plain => Ok(Test::Equals(plain.clone())),
            };
        };
        let mut members = members.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err("a comparison has one member".to_owned());
        };
        let text = || value.as_str().map(str::to_owned).ok_or(format!("{name} must be a string"));
        match name.as_str() {
            "prefix" => Ok(Test::Prefix(text()?)),
            "suffix" => Ok(Test::Suffix(text()?)),
            "equals-ignore-case" => Ok(Test::EqualsIgnoreCase(text()?.to_lowercase())),
            "exists" => value.as_bool().map(Test::Exists).ok_or("exists must be true or false".to_owned()),
            "numeric" => numeric(value).map(Test::Numeric),
            "anything-but" => {
                let not = match value {
                    Value::Array(values) if !values.is_empty() => {
                        values.iter().map(Test::read).collect::<Result<_, _>>()?
                    }
                    Value::Array(_) => return Err("anything-but has nothing in it".to_owned()),
                    one => vec![Test::read(one)?],
                };
                Ok(Test::Not(not))
            }
            other => Err(format!("the comparison {other} is not supported by dory")),
        }
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return *self == Test::Exists(false) };
        if let Test::Exists(wanted) = self {
            return *wanted;
        }
        match value {
            // Of a list one must hold.
            Value::Array(items) => items.iter().any(|item| self.holds_for(item)),
            one => self.holds_for(one),
        }
    }

    fn holds_for(&self, value: &Value) -> bool {
        let text = |holds: &dyn Fn(&str) -> bool| value.as_str().is_some_and(holds);
        match self {
            Test::Equals(Value::Number(number)) => number.as_f64() == value.as_f64(),
            Test::Equals(wanted) => wanted == value,
            Test::EqualsIgnoreCase(wanted) => text(&|text| text.to_lowercase() == *wanted),
            Test::Prefix(prefix) => text(&|text| text.starts_with(prefix)),
            Test::Suffix(suffix) => text(&|text| text.ends_with(suffix)),
            Test::Exists(wanted) => *wanted,
            Test::Numeric(bounds) => {
                value.as_f64().is_some_and(|value| bounds.iter().all(|(how, bound)| how.holds(value, *bound)))
            }
            Test::Not(tests) => !value.is_object() && !tests.iter().any(|test| test.holds_for(value)),
        }
    }
}

impl Comparison {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Comparison::Equal => value == bound,
            Comparison::Less => value < bound,
            Comparison::LessOrEqual => value <= bound,
            Comparison::Greater => value > bound,
            Comparison::GreaterOrEqual => value >= bound,
        }
    }
}

/// `["<", 10]`, or two of that.
fn numeric(value: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let wrong = || "numeric must be one or two comparisons, each with a number".to_owned();
    let words = value.as_array().filter(|words| [2, 4].contains(&words.len())).ok_or_else(wrong)?;
    let pair = |pair: &[Value]| {
        let how = match pair[0].as_str()? {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        Some((how, pair[1].as_f64()?))
    };
    words.chunks_exact(2).map(pair).collect::<Option<_>>().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(pattern: Value, event: Value) -> bool {
        Pattern::read(&pattern.to_string()).expect("a pattern").matches(&event)
    }

    #[test]
    fn every_field_must_match_one_of_what_it_may_be() {
        let pattern =
            json!({"body": {"kind": ["a", {"prefix": "b"}], "n": [{"numeric": [">", 1, "<=", 5]}]}});
        assert!(matches(pattern.clone(), json!({"body": {"kind": "a", "n": 5}})));
        assert!(matches(pattern.clone(), json!({"body": {"kind": ["x", "bc"], "n": 1.5}})));
        for other in
            [json!({"kind": "a"}), json!({"kind": "c", "n": 2}), json!({"kind": "a", "n": 6}), json!("a")]
        {
            assert!(!matches(pattern.clone(), json!({"body": other})), "{other}");
        }
    }

    #[test]
    fn comparisons() {
        for (test, yes, no) in [
            (json!("x"), json!("x"), json!("X")),
            (json!(1), json!(1.0), json!("1")),
            (json!(null), json!(null), json!(0)),
            (json!({"suffix": ".png"}), json!("a.png"), json!("a.jpg")),
            (json!({"equals-ignore-case": "Ab"}), json!("aB"), json!("abc")),
            (json!({"anything-but": ["x", 1]}), json!("y"), json!("x")),
            (json!({"anything-but": {"prefix": "x"}}), json!("y"), json!("xy")),
            (json!({"exists": true}), json!(0), json!(null)),
            (json!({"numeric": ["=", 3]}), json!(3), json!("3")),
        ] {
            let pattern = json!({"a": [test]});
            assert!(matches(pattern.clone(), json!({"a": yes})), "{test}");
            if test != json!({"exists": true}) {
                assert!(!matches(pattern.clone(), json!({"a": no})), "{test}");
            }
            assert!(!matches(pattern, json!({})), "{test}");
        }
        assert!(matches(json!({"a": [{"exists": false}]}), json!({"b": 1})));
        assert!(matches(json!({"a": {"b": [{"exists": false}]}}), json!({})));
        let or = json!({"$or": [{"a": [1]}, {"b": [2]}], "c": [3]});
        assert!(matches(or.clone(), json!({"b": 2, "c": 3})) && !matches(or, json!({"c": 3})));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "x",
            "[]",
            "{}",
            r#"{"a": 1}"#,
            r#"{"a": []}"#,
            r#"{"a": {}}"#,
            r#"{"a": [[1]]}"#,
            r#"{"a": [{"prefix": 1}]}"#,
            r#"{"a": [{"wildcard": "*"}]}"#,
            r#"{"a": [{"numeric": ["<"]}]}"#,
            r#"{"a": [{"prefix": "a", "suffix": "b"}]}"#,
            r#"{"$or": [{"a": [1]}]}"#,
            r#"{"a": [{"anything-but": []}]}"#,
            r#"{"a": [{"exists": 1}]}"#,
        ] {
            assert!(Pattern::read(text).is_err(), "{text}");
        }
        let deep = format!("{}[1]{}", r#"{"a":"#.repeat(40), "}".repeat(40));
        assert!(Pattern::read(&deep).is_err());
    }
}
