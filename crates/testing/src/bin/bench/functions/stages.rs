//! Where a cold start spends its time: the medians of the stages that the platform notes for the first start of each
//! function.

use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use hyper::body::Bytes;
use serde_json::Value;

use super::door::Door;
use crate::row;

/// The last cold starts that are looked at, before the function numbered `end`.
const LOOKED_AT: usize = 50;

pub(super) async fn report(door: &Door, what: &str, prefix: &str, end: usize) -> Result<()> {
    let mut stages: Vec<(String, Vec<Duration>)> = Vec::new();
    for n in end.saturating_sub(LOOKED_AT)..end {
        let path = format!("/_dory/functions/{prefix}-{n}/cold-start");
        let answer = door.send(Method::GET, &path, Bytes::new()).await?.ok()?;
        let document: Value = serde_json::from_slice(&answer.body)?;
        for stage in document["stages"].as_array().context("a cold start without stages")? {
            let name = stage["name"].as_str().context("a stage without name")?.replace(' ', "_");
            let took =
                Duration::from_secs_f64(stage["micros"].as_f64().context("a stage without time")? / 1e6);
            match stages.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(took),
                None => stages.push((name, vec![took])),
            }
        }
    }
    for (name, mut took) in stages {
        let median = row::quantile_ms(&mut took, 0.5);
        row::at_most(&format!("cold_start_{what}_stage_{name}"), median, "ms", f64::INFINITY);
    }
    Ok(())
}
