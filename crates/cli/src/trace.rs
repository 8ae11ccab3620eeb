//! `dory trace-cold-start`: where the time of a function's last cold start went.

use anyhow::{Result, bail};
use http::Method;
use serde_json::Value;

use crate::Platform;
use crate::aws_door::AwsDoor;

pub(crate) async fn run(platform: &Platform, function: &str) -> Result<()> {
    let path = format!("/_dory/functions/{function}/cold-start");
    let document = match AwsDoor::open(platform)?.lambda(Method::GET, &path, None).await? {
        Ok(document) => document,
        Err(error) => bail!("{}", error.message),
    };
    let stages = document["stages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if stages.is_empty() {
        bail!("{function} has not been started since it was last changed: invoke it, then ask again");
    }
    print!("{}", table(stages));
    Ok(())
}

/// One line per stage, and their sum.
fn table(stages: &[Value]) -> String {
    let micros = |stage: &Value| stage["micros"].as_f64().unwrap_or_default();
    let line = |name: &str, micros: f64| format!("{name:<24}{:>10.3} ms\n", micros / 1000.0);
    let lines: String =
        stages.iter().map(|stage| line(stage["name"].as_str().unwrap_or_default(), micros(stage))).collect();
    lines + &line("all", stages.iter().map(micros).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stages_are_lines_with_a_sum() {
        let stages =
            [json!({"name": "network", "micros": 250.0}), json!({"name": "process", "micros": 1500.0})];
        assert_eq!(
            table(&stages),
            "network                      0.250 ms\nprocess                      1.500 ms\n\
             all                          1.750 ms\n"
        );
    }
}
