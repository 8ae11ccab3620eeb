//! ListMetrics.

use super::input::Input;
use super::wire::Item;
use super::{Answer, Refused};
use jiff::{Timestamp, ToSpan};
use meter::{Meter, Metric};

const PAGE: usize = 500;

pub(super) fn list(meter: &Meter, account_id: &str, input: &Input) -> Answer {
    input.check(&[
        "Namespace",
        "MetricName",
        "Dimensions",
        "NextToken",
        "RecentlyActive",
        "OwningAccount",
    ])?;
    let since = match input.text("RecentlyActive")? {
        None => Timestamp::UNIX_EPOCH,
        Some("PT3H") => Timestamp::now() - 3.hours(),
        Some(_) => return Err(Refused::value("The parameter RecentlyActive must be PT3H.")),
    };
    let (namespace, name) = (input.text("Namespace")?, input.text("MetricName")?);
    let ours = input.text("OwningAccount")?.is_none_or(|account| account == account_id);
    let filters = input.structures("Dimensions")?;
    let filters: Vec<(&str, Option<&str>)> = filters
        .iter()
        .map(|filter| Ok((filter.required("Name")?, filter.text("Value")?)))
        .collect::<Result<_, Refused>>()?;
    let wanted = |metric: &Metric| {
        ours && namespace.is_none_or(|namespace| metric.namespace == namespace)
            && name.is_none_or(|name| metric.name == name)
            && filters.iter().all(|(name, value)| {
                metric.dimensions.get(*name).is_some_and(|found| value.is_none_or(|value| found == value))
            })
    };
    let skip: usize = match input.text("NextToken")? {
        None | Some("") => 0,
        Some(token) => token.parse().map_err(|_| Refused::token())?,
    };
    let mut rest: Vec<Metric> = meter.metrics(since).into_iter().filter(wanted).skip(skip).collect();
    let more = rest.len() > PAGE;
    rest.truncate(PAGE);
    let mut members = vec![("Metrics", Item::List(rest.iter().map(shown).collect()))];
    if more {
        members.push(("NextToken", Item::Text((skip + PAGE).to_string())));
    }
    Ok(Item::Structure(members))
}

fn shown(metric: &Metric) -> Item {
    let dimension = |(name, value): (&String, &String)| {
        Item::Structure(vec![("Name", Item::Text(name.clone())), ("Value", Item::Text(value.clone()))])
    };
    Item::Structure(vec![
        ("Namespace", Item::Text(metric.namespace.clone())),
        ("MetricName", Item::Text(metric.name.clone())),
        ("Dimensions", Item::List(metric.dimensions.iter().map(dimension).collect())),
    ])
}
