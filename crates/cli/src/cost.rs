//! `dory cost`: what each workload costs as it is, and what it would cost the other way.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use meter::{Bill, Prices, Usage};

use crate::Platform;
use crate::args::{Cost, Output};
use crate::aws_door::AwsDoor;
use crate::table::Table;

/// A price list of this name in the data directory is used unless another is named.
const PRICES_FILE: &str = "prices.json";

pub(crate) async fn run(platform: &Platform, options: &Cost) -> Result<()> {
    let prices = prices(platform, options)?;
    let shown: serde_json::Value = AwsDoor::open(platform)?.json("/_dory/usage").await?;
    let usage: Usage =
        serde_json::from_value(shown["usage"].clone()).context("what was metered cannot be read")?;
    let now_ms = shown["nowMs"].as_i64().unwrap_or_default();
    let bill = meter::bill(&usage, &prices, now_ms);
    match options.output {
        Some(Output::Json) => println!("{}", serde_json::to_string_pretty(&bill)?),
        None => print(&bill),
    }
    Ok(())
}

fn prices(platform: &Platform, options: &Cost) -> Result<Prices> {
    let (path, named): (PathBuf, bool) = match &options.prices {
        Some(path) => (path.clone(), true),
        None => (platform.data_dir().join(PRICES_FILE), false),
    };
    match fs::read(&path) {
        Ok(bytes) => Prices::read(&bytes).with_context(|| format!("{} is no price list", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(Prices::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn print(bill: &Bill) {
    if bill.functions.is_empty() && bill.pods.is_empty() {
        println!("nothing has run yet");
    }
    if !bill.functions.is_empty() {
        let mut table = Table::new(&[
            "FUNCTION",
            "INVOCATIONS",
            "GB-S",
            "SO FAR",
            "A MONTH ON DEMAND",
            "A MONTH ALWAYS ON",
            "CHEAPER",
        ]);
        for one in &bill.functions {
            let goes_on = |text: String| if one.deleted { "-".to_owned() } else { text };
            let on_demand = one.cost_per_month <= one.always_on_per_month;
            table.row(vec![
                named(&one.namespace, &one.function),
                one.invocations.to_string(),
                format!("{:.3}", one.gb_seconds),
                dollars(one.cost),
                goes_on(dollars(one.cost_per_month)),
                goes_on(format!("{} ({} x)", dollars(one.always_on_per_month), one.always_on_copies)),
                goes_on(if on_demand { "on demand" } else { "always on" }.to_owned()),
            ]);
        }
        table.print();
    }
    if !bill.pods.is_empty() {
        if !bill.functions.is_empty() {
            println!();
        }
        let mut table = Table::new(&[
            "WORKLOAD",
            "PODS",
            "POD-HOURS",
            "SO FAR",
            "A MONTH ALWAYS ON",
            "A MONTH ON DEMAND",
            "ON DEMAND IS CHEAPER",
        ]);
        for one in &bill.pods {
            table.row(vec![
                named(&one.namespace, &one.owner),
                one.running.to_string(),
                format!("{:.2}", one.pod_hours),
                dollars(one.cost),
                dollars(one.cost_per_month),
                format!("up to {}", dollars(one.on_demand_busy_per_month)),
                format!("when busy below {:.0} %", one.break_even * 100.0),
            ]);
        }
        table.print();
    }
    if bill.prices.node_hour > 0.0 {
        println!("\na node costs {} a month, whatever runs on it", dollars(bill.prices.nodes(1.0, 720.0)));
    }
    println!("\nprices: {}", bill.prices.source);
}

fn named(namespace: &str, name: &str) -> String {
    if namespace == "default" { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// Cents, and more places where that would be nothing.
fn dollars(amount: f64) -> String {
    match amount {
        0.0 => "$0".to_owned(),
        small if small < 0.01 => format!("${small:.6}"),
        amount => format!("${amount:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_are_shown() {
        assert_eq!([0.0, 0.000_002_1, 1.849, 216.0].map(dollars), ["$0", "$0.000002", "$1.85", "$216.00"]);
    }
}
