//! `LoggingConfig`: how a function logs, between the API's words and the object's. Pure.

use serde_json::{Map, Value, json};
use wire::Fault;

const FORMATS: &[&str] = &["JSON", "Text"];
const APPLICATION_LEVELS: &[&str] = &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const SYSTEM_LEVELS: &[&str] = &["DEBUG", "INFO", "WARN"];

/// The members that have a fixed set of values, and the object's words for them.
const CHOICES: &[(&str, &str, &[&str])] = &[
    ("LogFormat", "format", FORMATS),
    ("ApplicationLogLevel", "applicationLogLevel", APPLICATION_LEVELS),
    ("SystemLogLevel", "systemLogLevel", SYSTEM_LEVELS),
];

/// Reads the setting into `spec.logging`.
pub(super) fn read(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let members =
        value.as_object().ok_or_else(|| Fault::serialization("LoggingConfig must be a structure"))?;
    let mut logging = Map::new();
    for (member, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let text = value.as_str();
        let text = text.ok_or_else(|| Fault::serialization(format!("{member} must be a string")))?;
        let field = match (CHOICES.iter().find(|(name, ..)| name == member), member.as_str()) {
            (Some((_, field, choices)), _) => {
                if !choices.contains(&text) {
                    let constraint = format!("Member must satisfy enum value set: [{}]", choices.join(", "));
                    return Err(invalid(member, text, &constraint));
                }
                *field
            }
            (None, "LogGroup") => {
                let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_/#".contains(letter);
                if text.is_empty() || text.len() > 512 || !text.chars().all(plain) {
                    let constraint = r"Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+";
                    return Err(invalid(member, text, constraint));
                }
                "logGroup"
            }
            (None, _) => return Err(Fault::unsupported(&format!("LoggingConfig.{member}"))),
        };
        logging.insert(field.to_owned(), json!(text));
    }
    let json = logging.get("format").is_some_and(|format| format == "JSON");
    if !json && (logging.contains_key("applicationLogLevel") || logging.contains_key("systemLogLevel")) {
        return Err(Fault::invalid_parameter(
            "ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON.",
        ));
    }
    spec.insert("logging".to_owned(), Value::Object(logging));
    Ok(())
}

fn invalid(member: &str, text: &str, constraint: &str) -> Fault {
    let mut name = member.to_owned();
    name[..1].make_ascii_lowercase();
    Fault::validation(&format!("loggingConfig.{name}"), &format!("'{text}'"), constraint)
}

/// `LoggingConfig` as answers have it: levels where they count.
pub(super) fn shown(logging: &Value, function: &str) -> Value {
    let text = |field: &str, default: &str| json!(logging[field].as_str().unwrap_or(default));
    let mut shown = json!({
        "LogFormat": text("format", "Text"),
        "LogGroup": text("logGroup", &format!("/aws/lambda/{function}")),
    });
    if shown["LogFormat"] == "JSON" {
        shown["ApplicationLogLevel"] = text("applicationLogLevel", "INFO");
        shown["SystemLogLevel"] = text("systemLogLevel", "INFO");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(value: Value) -> Result<Value, String> {
        let mut spec = Map::new();
        read(&value, &mut spec).map_err(|fault| fault.message)?;
        Ok(shown(&spec["logging"], "hello"))
    }

    #[test]
    fn what_is_set_is_shown() {
        let plain = json!({"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"});
        assert_eq!(read_back(json!({})), Ok(plain.clone()));
        assert_eq!(shown(&Value::Null, "hello"), plain);
        assert_eq!(
            read_back(json!({"LogFormat": "JSON", "SystemLogLevel": "WARN", "LogGroup": "team"})),
            Ok(
                json!({"LogFormat": "JSON", "LogGroup": "team", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"})
            )
        );
    }

    #[test]
    fn wrong_values_are_named() {
        let refuse = |value: Value| read_back(value).expect_err("refused");
        assert!(refuse(json!({"LogFormat": "xml"})).contains("'loggingConfig.logFormat' failed"));
        assert!(
            refuse(json!({"LogFormat": "JSON", "SystemLogLevel": "ERROR"})).contains("[DEBUG, INFO, WARN]")
        );
        assert!(
            refuse(json!({"ApplicationLogLevel": "INFO"})).contains("only be set when LogFormat is JSON")
        );
        assert!(refuse(json!({"LogGroup": "a b"})).contains("loggingConfig.logGroup"));
        assert!(refuse(json!({"Colour": "red"})).contains("LoggingConfig.Colour"));
    }
}
