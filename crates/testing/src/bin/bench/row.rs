//! One figure as one JSON line: name, value, unit, target, and whether the target is met. A figure that only explains
//! another has no target: infinity stands for it, and is printed as `null`.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

/// A figure that should be at most its target.
pub(crate) fn at_most(name: &str, value: f64, unit: &str, target: f64) {
    print(name, value, unit, target, value <= target);
}

/// A figure that should be at least its target.
pub(crate) fn at_least(name: &str, value: f64, unit: &str, target: f64) {
    print(name, value, unit, target, value >= target);
}

/// A figure that is not there, and why; `ok` when there is none to measure.
pub(crate) fn missing(name: &str, ok: bool, why: &str) {
    let row =
        serde_json::json!({ "name": name, "value": null, "unit": "", "target": null, "ok": ok, "why": why });
    println!("{row}");
}

/// The median of several durations in milliseconds, which should be at most the target.
pub(crate) fn median_ms(name: &str, samples: &mut [Duration], target_ms: f64) {
    at_most(name, quantile_ms(samples, 0.5), "ms", target_ms);
}

/// A file's size in megabytes.
pub(crate) fn size(name: &str, file: &Path, target_mb: f64) -> Result<()> {
    at_most(name, std::fs::metadata(file)?.len() as f64 / 1e6, "MB", target_mb);
    Ok(())
}

/// The q-th quantile in milliseconds.
pub(crate) fn quantile_ms(samples: &mut [Duration], q: f64) -> f64 {
    samples.sort_unstable();
    let at = ((samples.len() - 1) as f64 * q).round() as usize;
    samples[at].as_secs_f64() * 1e3
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(name: &str, value: f64, unit: &str, target: f64, ok: bool) {
    let value = (value * 1000.0).round() / 1000.0;
    println!(
        "{}",
        serde_json::json!({ "name": name, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}
