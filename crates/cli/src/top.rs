//! `dory top`: what nodes, pods and functions use now.

use std::time::Duration;

use anyhow::{Context, Result};
use client::kube;
use serde_json::{Value, json};

use crate::args::{Output, Top};
use crate::aws_door::AwsDoor;
use crate::table::Table;
use crate::{Platform, format_bytes};

/// Between the two looks at functions whose difference is a rate.
const WINDOW: Duration = Duration::from_secs(1);

pub(crate) async fn run(platform: &Platform, options: &Top) -> Result<()> {
    let (door, client) = (AwsDoor::open(platform)?, platform.client().await?);
    let before = door.json("/_dory/top").await?;
    tokio::time::sleep(WINDOW).await;
    let after = door.json("/_dory/top").await?;
    let nodes = metrics(&client, "nodes").await?;
    let pods = metrics(&client, "pods").await?;
    let all = json!({
        "nodes": nodes.iter().map(|node| named(node, &node["usage"])).collect::<Vec<_>>(),
        "pods": pods.iter().map(|pod| named(pod, &sum(&pod["containers"]))).collect::<Vec<_>>(),
        "functions": rates(&before, &after),
    });
    match options.output {
        Some(Output::Json) => println!("{}", serde_json::to_string_pretty(&all)?),
        None => print(&all),
    }
    Ok(())
}

async fn metrics(client: &kube::Client, resource: &str) -> Result<Vec<Value>> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/{resource}");
    let text = client.request_text(http::Request::get(path).body(Vec::new())?).await?;
    let list: Value = serde_json::from_str(&text).context("the usage of the nodes cannot be read")?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Thousandths of a CPU of `12345n`, bytes of `12Ki`.
fn amounts(usage: &Value) -> (f64, u64) {
    let text = |name: &str| usage[name].as_str().unwrap_or_default();
    let nano: f64 = text("cpu").trim_end_matches('n').parse().unwrap_or(0.0);
    let kib: u64 = text("memory").trim_end_matches("Ki").parse().unwrap_or(0);
    (nano / 1e6, kib * 1024)
}

fn sum(containers: &Value) -> Value {
    let (mut nano, mut kib) = (0.0, 0);
    for container in containers.as_array().into_iter().flatten() {
        let (milli, bytes) = amounts(&container["usage"]);
        nano += milli * 1e6;
        kib += bytes / 1024;
    }
    json!({ "cpu": format!("{nano:.0}n"), "memory": format!("{kib}Ki") })
}

fn named(object: &Value, usage: &Value) -> Value {
    let (cpu, memory) = amounts(usage);
    let mut shown = json!({ "name": object["metadata"]["name"], "cpuMilli": cpu, "memoryBytes": memory });
    if let Some(namespace) = object["metadata"]["namespace"].as_str() {
        shown["namespace"] = json!(namespace);
    }
    shown
}

/// What functions did between two looks.
fn rates(before: &Value, after: &Value) -> Vec<Value> {
    let ms = |look: &Value| look["nowMs"].as_f64().unwrap_or(0.0);
    let seconds = ((ms(after) - ms(before)) / 1000.0).max(0.001);
    let empty = Vec::new();
    let old = before["functions"].as_array().unwrap_or(&empty);
    let rate = |function: &Value| {
        let same = |other: &&Value| {
            other["namespace"] == function["namespace"] && other["function"] == function["function"]
        };
        let was = old.iter().find(same);
        let grown = |name: &str| {
            let number = |look: &Value| look[name].as_f64().unwrap_or(0.0);
            (number(function) - was.map_or(0.0, number)).max(0.0)
        };
        json!({
            "namespace": function["namespace"],
            "name": function["function"],
            "instances": function["instances"],
            "idle": function["idle"],
            "cpuMilli": grown("cpuNanos") / seconds / 1e6,
            "memoryBytes": function["memoryBytes"],
            "invocationsPerSecond": grown("invocations") / seconds,
        })
    };
    after["functions"].as_array().unwrap_or(&empty).iter().map(rate).collect()
}

fn print(all: &Value) {
    let empty = Vec::new();
    let list = |name: &str| all[name].as_array().unwrap_or(&empty);
    let milli = |one: &Value| format!("{:.0}m", one["cpuMilli"].as_f64().unwrap_or(0.0));
    let bytes = |one: &Value| format_bytes(one["memoryBytes"].as_u64().unwrap_or(0));
    let name = |one: &Value| {
        let name = one["name"].as_str().unwrap_or_default();
        match one["namespace"].as_str() {
            None | Some("default") => name.to_owned(),
            Some(namespace) => format!("{namespace}/{name}"),
        }
    };
    for (head, key) in [("NODE", "nodes"), ("POD", "pods")] {
        let mut table = Table::new(&[head, "CPU", "MEMORY"]);
        list(key).iter().for_each(|one| table.row(vec![name(one), milli(one), bytes(one)]));
        if !list(key).is_empty() {
            table.print();
            println!();
        }
    }
    let mut table = Table::new(&["FUNCTION", "CPU", "MEMORY", "INSTANCES", "IDLE", "INVOCATIONS/S"]);
    for one in list("functions") {
        let rate = one["invocationsPerSecond"].as_f64().unwrap_or(0.0);
        let count = |name: &str| one[name].to_string();
        let cells =
            vec![name(one), milli(one), bytes(one), count("instances"), count("idle"), format!("{rate:.1}")];
        table.row(cells);
    }
    if !list("functions").is_empty() {
        table.print();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences() {
        let look = |ms: u64, cpu: u64, calls: u64| {
            json!({"nowMs": ms, "functions": [{"namespace": "default", "function": "f", "instances": 2, "idle": 1,
                "cpuNanos": cpu, "memoryBytes": 5, "invocations": calls}]})
        };
        let rates = rates(&look(1000, 0, 10), &look(3000, 1_000_000_000, 14));
        assert_eq!((&rates[0]["cpuMilli"], &rates[0]["invocationsPerSecond"]), (&json!(500.0), &json!(2.0)));
        let containers = json!([{"usage": {"cpu": "1500000n", "memory": "3Ki"}}, {"usage": {"cpu": "500000n", "memory": "1Ki"}}]);
        assert_eq!(amounts(&sum(&containers)), (2.0, 4096));
    }
}
