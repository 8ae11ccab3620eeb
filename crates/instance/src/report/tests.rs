//! The lines are those of Lambda, byte for byte.

use super::*;

const LATEST: &str = "$LATEST";
use serde::Deserialize;

fn report(init: Option<Duration>, status: Option<Status<'_>>) -> Report<'_> {
    Report {
        request_id: "8f5",
        duration: Duration::from_micros(1_230),
        init,
        memory_mb: 128,
        memory_peak_bytes: 10 * 1024 * 1024 - 5,
        status,
    }
}

fn json(system: &str) -> Logging {
    Logging::deserialize(json!({"format": "JSON", "systemLogLevel": system})).expect("a configuration")
}

/// The lines without their times.
fn types(lines: &[String]) -> Vec<(String, Value)> {
    let line = |line: &String| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert!(line["time"].as_str().expect("a time").ends_with('Z'));
        (line["type"].as_str().expect("a type").to_owned(), line["record"].clone())
    };
    lines.iter().map(line).collect()
}

#[test]
fn reports_as_lambda_does() {
    let text = Logging::default();
    assert_eq!(
        end(&text, &report(Some(Duration::from_micros(3_450)), None)),
        [
            "END RequestId: 8f5",
            "REPORT RequestId: 8f5\tDuration: 1.23 ms\tBilled Duration: 5 ms\tMemory Size: 128 MB\tMax Memory Used: 10 MB\t\
             Init Duration: 3.45 ms\t"
        ]
    );
    assert_eq!(
        report(None, Some(Status::Timeout)).to_string(),
        "REPORT RequestId: 8f5\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 10 MB\t\
         Status: timeout"
    );
    let failed = report(None, Some(Status::Error("Runtime.ExitError"))).to_string();
    assert!(failed.ends_with("Status: error\tError Type: Runtime.ExitError"));
    assert!(report(None, Some(Status::Reported("Boom"))).to_string().ends_with("Used: 10 MB\t"));
    assert_eq!(start(&text, "8f5", LATEST), ["START RequestId: 8f5 Version: $LATEST"]);
    let init = |status| init_failed(&text, Duration::from_millis(2), "init", status);
    assert_eq!(init(Status::Timeout), ["INIT_REPORT Init Duration: 2.00 ms\tPhase: init\tStatus: timeout"]);
    assert_eq!(
        init(Status::Error("Runtime.ExitError")),
        ["INIT_REPORT Init Duration: 2.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError"]
    );
    assert!(init_done(&text, "hello", LATEST, "init", Duration::ZERO).is_empty());
}

#[test]
fn json_records_are_those_of_the_telemetry_schema() {
    let begun = start(&json("INFO"), "8f5", "7");
    assert!(
        begun[0].ends_with(r#","type":"platform.start","record":{"requestId":"8f5","version":"7"}}"#),
        "{begun:?}"
    );
    let lines = types(&end(&json("INFO"), &report(Some(Duration::from_micros(3_450)), None)));
    let wanted = json!({
        "requestId": "8f5", "status": "success",
        "metrics": {"durationMs": 1.23, "billedDurationMs": 5, "memorySizeMB": 128, "maxMemoryUsedMB": 10, "initDurationMs": 3.45},
    });
    assert_eq!(lines, [("platform.report".to_owned(), wanted)]);
}

#[test]
fn each_record_has_its_level() {
    let names = |lines: Vec<String>| -> Vec<String> {
        types(&lines).into_iter().map(|(name, _)| name.trim_start_matches("platform.").to_owned()).collect()
    };
    let all = |system: &str| {
        let logging = json(system);
        let mut lines = init_done(&logging, "hello", LATEST, "init", Duration::ZERO);
        lines.extend(start(&logging, "8f5", LATEST));
        lines.extend(end(&logging, &report(None, None)));
        lines.extend(fault(&logging, "8f5", &Fault::ResponseTooLarge(crate::PAYLOAD_BYTES_MAX)));
        lines.extend(end(&logging, &report(None, Some(Status::Timeout))));
        lines.extend(init_failed(&logging, Duration::ZERO, "init", Status::Timeout));
        names(lines)
    };
    let warnings = ["fault", "runtimeDone", "report", "initRuntimeDone", "initReport"];
    assert_eq!(all("WARN"), warnings);
    assert_eq!(all("INFO"), [&["start", "report"], &warnings[..]].concat());
    let debug = ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"];
    assert_eq!(all("DEBUG"), [&debug, &warnings[..]].concat());
}
