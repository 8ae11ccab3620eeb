//! The members of a request, however they came: numbers are text in the query format, and times are seconds or text.

use super::Refused;
use jiff::Timestamp;
use meter::Metric;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Dimensions that one metric may have.
const DIMENSIONS_MAX: usize = 30;

/// One structure of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Input {
    pub(super) members: Map<String, Value>,
}

impl Input {
    pub(super) fn of(value: Value) -> Result<Input, Refused> {
        match value {
            Value::Object(members) => Ok(Input { members }),
            Value::Null => Ok(Input::default()),
            _ => Err(Refused::malformed("a structure was expected")),
        }
    }

    fn get(&self, member: &str) -> Option<&Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    /// Refuses members that this platform would have to ignore.
    pub(super) fn check(&self, known: &[&str]) -> Result<(), Refused> {
        let asks = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => text != "false",
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        };
        match self.members.iter().find(|(name, value)| !known.contains(&name.as_str()) && asks(value)) {
            Some((name, _)) => Err(Refused::value(format!("The parameter {name} is not supported by dory."))),
            None => Ok(()),
        }
    }

    pub(super) fn text(&self, member: &str) -> Result<Option<&str>, Refused> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::malformed(format!("{member} must be a string"))),
        }
    }

    pub(super) fn required(&self, member: &str) -> Result<&str, Refused> {
        let text = self.text(member)?.ok_or_else(|| Refused::missing(member))?;
        if text.is_empty() || text.len() > 255 {
            return Err(Refused::value(format!("The parameter {member} must have 1 to 255 characters.")));
        }
        Ok(text)
    }

    pub(super) fn number(&self, member: &str) -> Result<Option<f64>, Refused> {
        self.get(member).map(|value| number(member, value)).transpose()
    }

    pub(super) fn numbers(&self, member: &str) -> Result<Option<Vec<f64>>, Refused> {
        let Some(items) = self.list(member)? else { return Ok(None) };
        items.iter().map(|value| number(member, value)).collect::<Result<_, _>>().map(Some)
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    pub(super) fn whole(&self, member: &str) -> Result<Option<i64>, Refused> {
        let Some(number) = self.number(member)? else { return Ok(None) };
        if number.fract() != 0.0 || number.abs() > 1e12 {
            return Err(Refused::value(format!("The parameter {member} must be a whole number.")));
        }
        Ok(Some(number as i64))
    }

    pub(super) fn flag(&self, member: &str, default: bool) -> Result<bool, Refused> {
        match self.get(member) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(_) => Err(Refused::malformed(format!("{member} must be true or false"))),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a time in milliseconds; out of range saturates and is refused"
    )]
    pub(super) fn time(&self, member: &str) -> Result<Option<Timestamp>, Refused> {
        let wrong =
            || Refused::value(format!("The parameter {member} must be a time, as in 2026-11-21T12:00:00Z."));
        match self.get(member) {
            None => Ok(None),
            Some(Value::Number(seconds)) => {
                let ms = (seconds.as_f64().unwrap_or(f64::NAN) * 1000.0).round();
                Timestamp::from_millisecond(ms as i64).map(Some).map_err(|_| wrong())
            }
            Some(Value::String(text)) => match text.parse() {
                Ok(time) => Ok(Some(time)),
                // Without a zone it is UTC.
                Err(_) => format!("{text}Z").parse().map(Some).map_err(|_| wrong()),
            },
            Some(_) => Err(wrong()),
        }
    }

    pub(super) fn list(&self, member: &str) -> Result<Option<&Vec<Value>>, Refused> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            // How the query format spells an empty one.
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(_) => Err(Refused::malformed(format!("{member} must be a list"))),
        }
    }

    pub(super) fn structures(&self, member: &str) -> Result<Vec<Input>, Refused> {
        let items = self.list(member)?.cloned().unwrap_or_default();
        items.into_iter().map(Input::of).collect()
    }

    pub(super) fn structure(&self, member: &str) -> Result<Option<Input>, Refused> {
        self.get(member).cloned().map(Input::of).transpose()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, member: &str) -> Result<Vec<&str>, Refused> {
        let items = self.list(member)?.map(Vec::as_slice).unwrap_or_default();
        let text = |value| {
            Value::as_str(value).ok_or_else(|| Refused::malformed(format!("{member} must be strings")))
        };
        items.iter().map(text).collect()
    }

    /// The metric that `MetricName` and `Dimensions` name.
    pub(super) fn metric(&self, namespace: &str) -> Result<Metric, Refused> {
        let mut dimensions = BTreeMap::new();
        for dimension in self.structures("Dimensions")? {
            let (name, value) = (dimension.required("Name")?, dimension.text("Value")?);
            let value = value.filter(|value| !value.is_empty() && value.len() <= 1024);
            let value = value.ok_or_else(|| Refused::missing("Dimensions.member.Value"))?;
            dimensions.insert(name.to_owned(), value.to_owned());
        }
        if dimensions.len() > DIMENSIONS_MAX {
            return Err(Refused::value(format!("A metric may have {DIMENSIONS_MAX} dimensions at most.")));
        }
        let name = self.required("MetricName")?.to_owned();
        Ok(Metric { namespace: namespace.to_owned(), name, dimensions })
    }

    /// `StartTime` and `EndTime`, which must be in this order.
    pub(super) fn window(&self) -> Result<(Timestamp, Timestamp), Refused> {
        let start = self.time("StartTime")?.ok_or_else(|| Refused::missing("StartTime"))?;
        let end = self.time("EndTime")?.ok_or_else(|| Refused::missing("EndTime"))?;
        if start >= end {
            return Err(Refused::value("The parameter StartTime must be less than the parameter EndTime."));
        }
        Ok((start, end))
    }

    /// `Period`, in seconds: whole minutes, which is how datapoints are kept.
    pub(super) fn period(&self) -> Result<i64, Refused> {
        let period = self.whole("Period")?.ok_or_else(|| Refused::missing("Period"))?;
        if period < 60 || period % 60 != 0 || period > 86_400 * 366 {
            return Err(Refused::value(
                "The parameter Period must be a multiple of 60: dory keeps one datapoint a minute.",
            ));
        }
        Ok(period)
    }
}

fn number(member: &str, value: &Value) -> Result<f64, Refused> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite());
    number.ok_or_else(|| Refused::value(format!("The parameter {member} must be a number.")))
}
