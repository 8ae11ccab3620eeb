//! Label selectors: `a=b,c in (d,e),!f` and the LabelSelector object.

use crate::json::{entries, items, text};
use crate::name;
use serde_json::Value;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, String> {
        name::check_qualified(key).map_err(|why| format!("key: Invalid value: {key:?}: {why}"))?;
        for (i, value) in values.iter().enumerate() {
            name::check_label_value(value)
                .map_err(|why| format!("values[{i}][{key}]: Invalid value: {value:?}: {why}"))?;
        }
        let numeric = matches!(operator, Operator::GreaterThan | Operator::LessThan);
        if numeric && values.iter().any(|v| v.parse::<i64>().is_err()) {
            return Err(format!(
                "values[0]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must be an integer",
                values[0]
            ));
        }
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    fn holds(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|x| x == v);
        let number = |v: &str| Some((v.parse::<i64>().ok()?, self.values.first()?.parse::<i64>().ok()?));
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => value.is_none_or(|v| !listed(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => value.and_then(number).is_some_and(|(v, x)| v > x),
            Operator::LessThan => value.and_then(number).is_some_and(|(v, x)| v < x),
        }
    }
}

/// A parsed label selector: all requirements must hold. [`LabelSelector::nothing`] matches no object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Reads the string form; the error says what was found and what was expected.
    pub fn parse(text: &str) -> Result<LabelSelector, String> {
        let mut reader = Reader { rest: text.trim() };
        let mut requirements = Vec::new();
        while !reader.rest.is_empty() {
            requirements.push(reader.requirement()?);
            match reader.token() {
                "," if reader.rest.is_empty() => return Err(expected("", "identifier after ','")),
                "" | "," => {}
                other => return Err(expected(other, "',' or 'end of string'")),
            }
        }
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Reads a LabelSelector object (`matchLabels`, `matchExpressions`); null matches nothing, `{}` everything.
    pub fn from_json(selector: &Value) -> Result<LabelSelector, String> {
        if selector.is_null() {
            return Ok(LabelSelector::nothing());
        }
        let mut out = LabelSelector::from_labels(&selector["matchLabels"]);
        for expression in items(&selector["matchExpressions"]) {
            let values: Vec<String> =
                items(&expression["values"]).iter().map(|v| text(v).to_owned()).collect();
            let operator = match text(&expression["operator"]) {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            let listing = matches!(operator, Operator::In | Operator::NotIn);
            if listing == values.is_empty() {
                let must = if listing { "must be non-empty" } else { "must be empty" };
                return Err(format!("for '{}' operator, values set {must}", text(&expression["operator"])));
            }
            out.requirements.push(Requirement::new(text(&expression["key"]), operator, values)?);
        }
        out.requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(out)
    }

    /// The selector that requires exactly these labels (`Service.spec.selector`); null or empty matches everything.
    pub fn from_labels(labels: &Value) -> LabelSelector {
        let requirements = entries(labels)
            .map(|(k, v)| Requirement {
                key: k.to_owned(),
                operator: Operator::In,
                values: vec![text(v).to_owned()],
            })
            .collect();
        LabelSelector { requirements, nothing: false }
    }

    /// Matches no object.
    pub fn nothing() -> LabelSelector {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// Whether every object passes.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether an object with this `metadata.labels` value passes.
    pub fn matches(&self, labels: &Value) -> bool {
        self.matches_with(|key| labels.get(key).and_then(Value::as_str))
    }

    /// Whether an object passes whose labels `get` reads.
    pub fn matches_with<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.holds(get(&r.key)))
    }
}

fn expected(found: &str, wanted: &str) -> String {
    format!("found '{found}', expected: {wanted}")
}

/// Cuts the text into words and signs.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    const SIGNS: &'static str = "=!<>(),";

    /// The next word or sign; "" at the end.
    fn token(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let sign = |s: &str| ["==", "!="].into_iter().find(|two| s.starts_with(two)).map(str::len);
        let first = self.rest.chars().next();
        let len = match first {
            None => 0,
            Some(c) if Self::SIGNS.contains(c) => sign(self.rest).unwrap_or(1),
            Some(_) => {
                let end = |c: char| c.is_whitespace() || Self::SIGNS.contains(c);
                self.rest.find(end).unwrap_or(self.rest.len())
            }
        };
        let (token, rest) = self.rest.split_at(len);
        self.rest = rest.trim_start();
        token
    }

    fn is_word(token: &str) -> bool {
        !token.is_empty() && !token.starts_with(|c| Self::SIGNS.contains(c))
    }

    fn word(&mut self, wanted: &str) -> Result<&'a str, String> {
        let token = self.token();
        if Self::is_word(token) { Ok(token) } else { Err(expected(token, wanted)) }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        if self.rest.starts_with('!') {
            self.token();
            let key = self.word("identifier")?;
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        let key = self.word("!, identifier, or 'end of string'")?;
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = match self.token() {
            "=" | "==" => Operator::In,
            "!=" => Operator::NotIn,
            ">" => Operator::GreaterThan,
            "<" => Operator::LessThan,
            "in" => return Requirement::new(key, Operator::In, self.values()?),
            "notin" => return Requirement::new(key, Operator::NotIn, self.values()?),
            other => return Err(expected(other, "in, notin, =, ==, !=, gt, lt")),
        };
        // `key=` is the empty value.
        let value =
            if self.rest.is_empty() || self.rest.starts_with(',') { "" } else { self.word("identifier")? };
        Requirement::new(key, operator, vec![value.to_owned()])
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.token() {
            "(" => {}
            other => return Err(expected(other, "'('")),
        }
        let mut out = Vec::new();
        loop {
            match self.token() {
                ")" => {
                    out.push(String::new());
                    break;
                }
                "," => out.push(String::new()),
                word if Self::is_word(word) => {
                    out.push(word.to_owned());
                    match self.token() {
                        "," => {}
                        ")" => break,
                        other => return Err(expected(other, "',' or ')'")),
                    }
                }
                other => return Err(expected(other, "',', ')' or identifier")),
            }
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            let values = r.values.join(",");
            match r.operator {
                Operator::In if r.values.len() == 1 => write!(f, "{}={values}", r.key)?,
                Operator::In => write!(f, "{} in ({values})", r.key)?,
                Operator::NotIn if r.values.len() == 1 => write!(f, "{}!={values}", r.key)?,
                Operator::NotIn => write!(f, "{} notin ({values})", r.key)?,
                Operator::Exists => write!(f, "{}", r.key)?,
                Operator::DoesNotExist => write!(f, "!{}", r.key)?,
                Operator::GreaterThan => write!(f, "{}>{values}", r.key)?,
                Operator::LessThan => write!(f, "{}<{values}", r.key)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts() {
        let labels = json!({"app": "web", "tier": "front", "n": "5", "empty": ""});
        for (text, shown, want) in [
            ("", "", true),
            ("app=web", "app=web", true),
            ("app == web", "app=web", true),
            ("app!=web", "app!=web", false),
            ("nope!=web", "nope!=web", true),
            ("app", "app", true),
            ("!app", "!app", false),
            ("!nope,app", "!nope,app", true),
            ("app in (db, web),tier notin (back)", "app in (db,web),tier!=back", true),
            ("app notin (web)", "app!=web", false),
            ("nope notin (a,b)", "nope notin (a,b)", true),
            ("n>4,n<6", "n>4,n<6", true),
            ("n > 5", "n>5", false),
            ("empty=", "empty=", true),
            ("example.com/x in ()", "example.com/x=", false),
        ] {
            let selector = LabelSelector::parse(text).expect(text);
            assert_eq!((selector.to_string().as_str(), selector.matches(&labels)), (shown, want), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        for text in [
            "=a",
            "a=b=c",
            "a in b",
            "a in (b",
            "a b",
            "a,",
            "a=b,,c",
            "a in (b) c",
            "-a=b",
            "a=é",
            "n>x",
            "a(",
            "!",
        ] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn objects() {
        let parse = |v: Value| LabelSelector::from_json(&v);
        let selector = parse(json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["d", "e"]}, {"key": "f", "operator": "DoesNotExist"}]}));
        assert_eq!(selector.map(|s| s.to_string()).as_deref(), Ok("a=b,c in (d,e),!f"));
        assert!(parse(json!({})).expect("empty").matches(&Value::Null));
        assert!(!parse(Value::Null).expect("null").matches(&Value::Null));
        assert!(parse(json!({"matchExpressions": [{"key": "a", "operator": "In"}]})).is_err());
        assert!(
            parse(json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]})).is_err()
        );
    }
}
