//! How a function logs: `LoggingConfig`. Owns the levels, the names of log groups and streams, and which of the lines
//! that a function prints are kept. Pure.

use jiff::Timestamp;
use managed::StreamFilter;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// How much a line matters, least first. System logs use three of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Fatal,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Format {
    /// `START`, `END`, `REPORT`, and what the function prints.
    #[default]
    Text,
    /// One JSON object per line of the platform; runtimes print theirs as JSON too.
    #[serde(rename = "JSON")]
    Json,
}

/// `spec.logging`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Logging {
    /// The shape.
    pub format: Format,
    /// What a function's own lines must matter to be kept; with [`Format::Json`] only.
    pub application_log_level: Level,
    /// What the platform's lines must matter; with [`Format::Json`] only.
    pub system_log_level: Level,
    /// The log group, where it is not `/aws/lambda/NAME`.
    pub log_group: Option<String>,
}

impl Level {
    /// As `AWS_LAMBDA_LOG_LEVEL` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
            Level::Fatal => "FATAL",
        }
    }

    /// Programs spell levels as they like; what is no level counts as INFO, as on Lambda.
    fn read(text: &str) -> Level {
        match text.to_ascii_uppercase().as_str() {
            "TRACE" => Level::Trace,
            "DEBUG" => Level::Debug,
            "WARN" | "WARNING" => Level::Warn,
            "ERROR" => Level::Error,
            "FATAL" | "CRITICAL" => Level::Fatal,
            _ => Level::Info,
        }
    }
}

impl Logging {
    /// The group that a function of this name logs to.
    pub fn group(&self, function: &str) -> String {
        self.log_group.clone().unwrap_or_else(|| default_group(function))
    }

    /// The stream of one instance: in a group of its own a function's name goes without saying.
    pub fn stream(&self, function: &str, version: &str, instance: &str, born: Timestamp) -> String {
        let day = born.strftime("%Y/%m/%d");
        match &self.log_group {
            Some(group) if *group != default_group(function) => {
                format!("{day}/{function}[{version}][{instance}]")
            }
            _ => format!("{day}/[{version}]{instance}"),
        }
    }

    /// Whether a line that the function printed is kept.
    pub(crate) fn keeps(&self, line: &[u8]) -> bool {
        if self.format == Format::Text || self.application_log_level == Level::Trace {
            return true;
        }
        #[derive(Deserialize)]
        struct Line {
            /// `log_level` is how the Python runtime spells it for errors that nobody caught.
            #[serde(default, alias = "log_level")]
            level: Value,
        }
        let level = match line.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice::<Line>(line).ok(),
            _ => None,
        };
        let level = level.and_then(|line| line.level.as_str().map(Level::read)).unwrap_or_default();
        level >= self.application_log_level
    }
}

/// `/aws/lambda/NAME`
pub fn default_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

/// Which streams of a group that functions share, `YYYY/MM/DD/NAME[VERSION][ID]`, are this function's.
pub fn streams_of(function: String) -> StreamFilter {
    Arc::new(move |stream| {
        let rest = stream.splitn(4, '/').nth(3).unwrap_or_default();
        rest.strip_prefix(function.as_str()).is_some_and(|rest| rest.starts_with('['))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Logging {
        Logging::deserialize(value).expect("a configuration")
    }

    #[test]
    fn streams_are_named_as_on_lambda() {
        let born = "2026-11-21T23:59:59Z".parse().expect("a time");
        let plain = read(json!({}));
        assert_eq!(plain.stream("hello", "$LATEST", "8f5", born), "2026/11/21/[$LATEST]8f5");
        assert_eq!(plain.group("hello"), "/aws/lambda/hello");
        let shared = read(json!({"logGroup": "team"}));
        let stream = shared.stream("hello", "7", "8f5", born);
        assert_eq!(stream, "2026/11/21/hello[7][8f5]");
        assert!(streams_of("hello".to_owned())(&stream) && !streams_of("hell".to_owned())(&stream));
        assert_eq!(shared.group("hello"), "team");
    }

    #[test]
    fn lines_below_the_level_are_dropped_in_json_only() {
        let json = read(json!({"format": "JSON", "applicationLogLevel": "WARN"}));
        assert!(json.keeps(br#"{"level": "error", "msg": 1}"#));
        assert!(json.keeps(br#"{"level": "WARNING"}"#));
        assert!(json.keeps(br#"{"log_level": "ERROR"}"#));
        for dropped in
            [r#"{"level":"debug"}"#, "plain", r#"{"level":"NOTICE"}"#, r#"{"level":3}"#, "{broken", ""]
        {
            assert!(!json.keeps(dropped.as_bytes()), "{dropped}");
            assert!(read(json!({"applicationLogLevel": "FATAL"})).keeps(dropped.as_bytes()), "{dropped}");
        }
        assert!(read(json!({"format": "JSON"})).keeps(b"plain"));
    }
}
