//! PutMetricData.

use super::input::Input;
use super::wire::Item;
use super::{Answer, Refused};
use jiff::Timestamp;
use meter::{Meter, Metric, Stat};

const DATA_MAX: usize = 1000;
const VALUES_MAX: usize = 150;

/// Larger values are refused, as CloudWatch does: ±2^360.
const VALUE_MAX: f64 = 2.348_542_582_773_833e108;

const UNITS: &[&str] = &[
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

struct Datum {
    metric: Metric,
    unit: String,
    values: Stat,
    at: Timestamp,
}

pub(super) fn put(meter: &Meter, input: &Input) -> Answer {
    input.check(&["Namespace", "MetricData"])?;
    let namespace = input.required("Namespace")?;
    if namespace.starts_with("AWS/") || namespace.starts_with(':') {
        return Err(Refused::value(
            "The value AWS/ for parameter Namespace is invalid: such names are the platform's own.",
        ));
    }
    let data = input.structures("MetricData")?;
    if data.is_empty() {
        return Err(Refused::missing("MetricData"));
    }
    if data.len() > DATA_MAX {
        return Err(Refused::value(format!(
            "The collection MetricData must not have more than {DATA_MAX} members."
        )));
    }
    let now = Timestamp::now();
    // All are read before any is put: a request is taken whole or not at all.
    let data = data.iter().map(|datum| read(namespace, datum, now)).collect::<Result<Vec<Datum>, _>>()?;
    for datum in data {
        let Datum { metric, unit, values, at } = datum;
        meter.put(metric, &unit, &values, at, now).map_err(|error| Refused::value(error.to_string()))?;
    }
    Ok(Item::Structure(Vec::new()))
}

fn read(namespace: &str, datum: &Input, now: Timestamp) -> Result<Datum, Refused> {
    datum.check(&[
        "MetricName",
        "Dimensions",
        "Timestamp",
        "Value",
        "StatisticValues",
        "Values",
        "Counts",
        "Unit",
        "StorageResolution",
    ])?;
    if datum.whole("StorageResolution")?.is_some_and(|resolution| resolution != 60) {
        return Err(Refused::value("A StorageResolution other than 60 is not supported by dory."));
    }
    let unit = datum.text("Unit")?.unwrap_or("None");
    if !UNITS.contains(&unit) {
        return Err(Refused::value(format!("The parameter Unit must be one of {}.", UNITS.join(", "))));
    }
    Ok(Datum {
        metric: datum.metric(namespace)?,
        unit: unit.to_owned(),
        values: values(datum)?,
        at: datum.time("Timestamp")?.unwrap_or(now),
    })
}

fn values(datum: &Input) -> Result<Stat, Refused> {
    let (one, set) = (datum.number("Value")?, datum.structure("StatisticValues")?);
    let (many, counts) = (datum.numbers("Values")?, datum.numbers("Counts")?);
    if usize::from(one.is_some()) + usize::from(set.is_some()) + usize::from(many.is_some()) > 1 {
        return Err(Refused::combination("Value, Values and StatisticValues are mutually exclusive."));
    }
    let mut stat = Stat::default();
    if let Some(value) = one {
        stat.add(value, 1.0);
    } else if let Some(set) = set {
        let number = |member: &str| set.number(member)?.ok_or_else(|| Refused::missing(member));
        stat = Stat::of(number("SampleCount")?, number("Sum")?, number("Minimum")?, number("Maximum")?);
    } else if let Some(many) = many {
        let counts = counts.unwrap_or_else(|| vec![1.0; many.len()]);
        if many.len() != counts.len() || many.len() > VALUES_MAX {
            return Err(Refused::value(format!(
                "Values and Counts must be as long as each other, {VALUES_MAX} at most."
            )));
        }
        for (value, count) in many.iter().zip(counts) {
            stat.add(*value, count);
        }
    } else {
        return Err(Refused::missing("MetricData.member.Value"));
    }
    let sane = [stat.sum, stat.min, stat.max].iter().all(|value| value.abs() <= VALUE_MAX);
    if !sane || stat.count <= 0.0 || stat.min > stat.max {
        return Err(Refused::value(
            "The values must be in the range of -2^360 to 2^360, and counts above zero.",
        ));
    }
    Ok(stat)
}
