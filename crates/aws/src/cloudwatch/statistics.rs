//! GetMetricStatistics, and the datapoints that both reading operations make: minutes put together into periods, counted
//! from the start of the window.

use super::input::Input;
use super::wire::Item;
use super::{Answer, Refused};
use jiff::Timestamp;
use meter::{Meter, Metric, Stat};
use std::collections::BTreeMap;

/// Datapoints that one request may have.
const POINTS_MAX: i64 = 1440;

const STATISTICS: [&str; 5] = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];

/// The datapoints of a metric in a window, by the second at which each period begins; and the metric's unit.
pub(super) fn periods(
    meter: &Meter,
    metric: &Metric,
    (start, end): (Timestamp, Timestamp),
    period: i64,
) -> (BTreeMap<i64, Stat>, String) {
    let (points, unit) = meter.points(metric);
    // Down to the whole minute, as CloudWatch does for what is younger than 15 days.
    let first = start.as_second().div_euclid(60) * 60;
    let mut periods: BTreeMap<i64, Stat> = BTreeMap::new();
    for (minute, stat) in points {
        let at = minute * 60;
        if at >= first && at < end.as_second() {
            periods.entry(first + (at - first) / period * period).or_default().merge(&stat);
        }
    }
    (periods, unit.unwrap_or_else(|| "None".to_owned()))
}

/// Whether a statistic exists, so that a wrong one is refused and not just empty.
pub(super) fn check(statistic: &str) -> Result<(), Refused> {
    if STATISTICS.contains(&statistic) || meter::percentile(statistic).is_some() {
        return Ok(());
    }
    Err(Refused::value(format!(
        "The statistic {statistic} is not supported by dory. {} and percentiles such as p99 are.",
        STATISTICS.join(", ")
    )))
}

pub(super) fn get(meter: &Meter, input: &Input) -> Answer {
    input.check(&[
        "Namespace",
        "MetricName",
        "Dimensions",
        "StartTime",
        "EndTime",
        "Period",
        "Statistics",
        "ExtendedStatistics",
        "Unit",
    ])?;
    let metric = input.metric(input.required("Namespace")?)?;
    let (window, period) = (input.window()?, input.period()?);
    let (plain, extended) = (input.texts("Statistics")?, input.texts("ExtendedStatistics")?);
    if plain.is_empty() && extended.is_empty() {
        return Err(Refused::missing("Statistics"));
    }
    for statistic in &plain {
        if !STATISTICS.contains(statistic) {
            let all = STATISTICS.join(", ");
            return Err(Refused::value(format!("The parameter Statistics.member.N must be one of {all}.")));
        }
    }
    extended.iter().try_for_each(|statistic| check(statistic))?;
    let wanted = (window.1.as_second() - window.0.as_second()) / period;
    if wanted > POINTS_MAX {
        return Err(Refused::combination(format!(
            "You have requested up to {wanted} datapoints, which exceeds the limit of {POINTS_MAX}. You may reduce the \
             datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    let (periods, unit) = periods(meter, &metric, window, period);
    let fits = input.text("Unit")?.is_none_or(|wanted| wanted == unit);
    let points: Vec<Item> = periods
        .iter()
        .filter(|_| fits)
        .map(|(at, stat)| datapoint(*at, stat, &unit, &plain, &extended))
        .collect();
    Ok(Item::Structure(vec![("Label", Item::Text(metric.name)), ("Datapoints", Item::List(points))]))
}

fn datapoint(at: i64, stat: &Stat, unit: &str, plain: &[&str], extended: &[&str]) -> Item {
    let mut members = vec![("Timestamp", Item::Time(at))];
    for name in STATISTICS {
        if let Some(value) = stat.value(name).filter(|_| plain.contains(&name)) {
            members.push((name, Item::Number(value)));
        }
    }
    members.push(("Unit", Item::Text(unit.to_owned())));
    let values: Vec<(String, Item)> = extended
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), Item::Number(stat.value(name)?))))
        .collect();
    if !values.is_empty() {
        members.push(("ExtendedStatistics", Item::Map(values)));
    }
    Item::Structure(members)
}
