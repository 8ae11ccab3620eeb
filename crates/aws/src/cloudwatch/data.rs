//! GetMetricData: several metrics at once, a page at a time.

use super::input::Input;
use super::statistics::{check, periods};
use super::wire::Item;
use super::{Answer, Refused};
use jiff::Timestamp;
use meter::Meter;
use std::collections::HashSet;

const QUERIES_MAX: usize = 500;

/// Datapoints on one page.
const POINTS_MAX: usize = 100_800;

/// One metric that is asked for.
struct Wanted {
    id: String,
    label: String,
    points: Vec<(i64, f64)>,
}

pub(super) fn get(meter: &Meter, account_id: &str, input: &Input) -> Answer {
    // The time zone matters to labels with a time in them, which are refused.
    input.check(&[
        "MetricDataQueries",
        "StartTime",
        "EndTime",
        "NextToken",
        "ScanBy",
        "MaxDatapoints",
        "LabelOptions",
    ])?;
    let window = input.window()?;
    let ascending = match input.text("ScanBy")? {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(_) => {
            return Err(Refused::value(
                "The parameter ScanBy must be TimestampDescending or TimestampAscending.",
            ));
        }
    };
    let max = match input.whole("MaxDatapoints")? {
        None => POINTS_MAX,
        Some(max) => {
            usize::try_from(max).ok().filter(|max| (1..=POINTS_MAX).contains(max)).ok_or_else(|| {
                Refused::value(format!("The parameter MaxDatapoints must be from 1 to {POINTS_MAX}."))
            })?
        }
    };
    let queries = input.structures("MetricDataQueries")?;
    if queries.is_empty() {
        return Err(Refused::missing("MetricDataQueries"));
    }
    if queries.len() > QUERIES_MAX {
        return Err(Refused::value(format!("A request may have {QUERIES_MAX} MetricDataQueries at most.")));
    }
    let mut ids = HashSet::new();
    let mut all = Vec::new();
    for query in &queries {
        let (returned, mut wanted) = read(meter, account_id, query, window)?;
        if !ids.insert(wanted.id.clone()) {
            return Err(Refused::value(format!(
                "The values for parameter Id must be unique: {} is not.",
                wanted.id
            )));
        }
        if !ascending {
            wanted.points.reverse();
        }
        if returned {
            all.push(wanted);
        }
    }
    page(all, input.text("NextToken")?, max)
}

fn read(
    meter: &Meter,
    account_id: &str,
    query: &Input,
    window: (Timestamp, Timestamp),
) -> Result<(bool, Wanted), Refused> {
    query.check(&["Id", "MetricStat", "Label", "ReturnData", "Period", "AccountId", "Expression"])?;
    let id = query.required("Id")?;
    if !id.starts_with(|first: char| first.is_ascii_lowercase())
        || !id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    {
        return Err(Refused::value(format!(
            "The value {id} for parameter Id must match ^[a-z][a-zA-Z0-9_]*$."
        )));
    }
    if query.text("Expression")?.is_some() {
        return Err(Refused::value(
            "Expression (metric math) is not supported by dory; ask for the metrics themselves.",
        ));
    }
    if query.text("AccountId")?.is_some_and(|account| account != account_id) {
        return Err(Refused::value(format!(
            "The parameter AccountId must be {account_id}: there is no other account."
        )));
    }
    let stat = query
        .structure("MetricStat")?
        .ok_or_else(|| Refused::missing("MetricDataQueries.member.MetricStat"))?;
    stat.check(&["Metric", "Period", "Stat", "Unit"])?;
    let metric = stat.structure("Metric")?.ok_or_else(|| Refused::missing("MetricStat.Metric"))?;
    let metric = metric.metric(metric.required("Namespace")?)?;
    let statistic = stat.required("Stat")?;
    check(statistic)?;
    let label = query.text("Label")?.unwrap_or(&metric.name).to_owned();
    if label.contains("${") {
        return Err(Refused::value("A Label with dynamic values, ${…}, is not supported by dory."));
    }
    let (periods, unit) = periods(meter, &metric, window, stat.period()?);
    let fits = stat.text("Unit")?.is_none_or(|wanted| wanted == unit);
    let values = periods.iter().filter(|_| fits).filter_map(|(at, stat)| Some((*at, stat.value(statistic)?)));
    let wanted = Wanted { id: id.to_owned(), label, points: values.collect() };
    Ok((query.flag("ReturnData", true)?, wanted))
}

/// As many datapoints as a page holds, from the one that the token names: how many there were on the pages before.
fn page(all: Vec<Wanted>, token: Option<&str>, max: usize) -> Answer {
    let mut skip: usize = match token {
        None | Some("") => 0,
        Some(token) => token.parse().map_err(|_| Refused::token())?,
    };
    let first = skip == 0;
    let (mut left, mut seen, mut more) = (max, skip, false);
    let mut results = Vec::new();
    for wanted in all {
        let count = wanted.points.len();
        let passed = skip.min(count);
        skip -= passed;
        let taken = (count - passed).min(left);
        left -= taken;
        seen += taken;
        let complete = passed + taken == count;
        more |= !complete;
        // One that was told whole on an earlier page is not told again.
        if first || taken > 0 || (count > 0 && !complete) {
            results.push(shown(&wanted, &wanted.points[passed..passed + taken], complete));
        }
    }
    let mut members = vec![("MetricDataResults", Item::List(results)), ("Messages", Item::List(Vec::new()))];
    if more {
        members.push(("NextToken", Item::Text(seen.to_string())));
    }
    Ok(Item::Structure(members))
}

fn shown(wanted: &Wanted, points: &[(i64, f64)], complete: bool) -> Item {
    let status = if complete { "Complete" } else { "PartialData" };
    Item::Structure(vec![
        ("Id", Item::Text(wanted.id.clone())),
        ("Label", Item::Text(wanted.label.clone())),
        ("Timestamps", Item::List(points.iter().map(|(at, _)| Item::Time(*at)).collect())),
        ("Values", Item::List(points.iter().map(|(_, value)| Item::Number(*value)).collect())),
        ("StatusCode", Item::Text(status.to_owned())),
    ])
}
