//! Checking what `CreateFunction` and `UpdateFunctionConfiguration` ask for, and writing it into a function object's
//! `spec`. Pure. What the platform does not have yet is accepted only where it asks for nothing, and refused by name
//! otherwise: a setting is never silently dropped.

use functions::{RESERVED_VARIABLES, RUNTIMES};
use serde_json::{Map, Value, json};
use wire::Fault;

/// The most that all environment variables may have together, in bytes.
const ENVIRONMENT_BYTES_MAX: usize = 4096;

/// Members of the requests that change what a function is, and how each one is read.
type Setting = (&'static str, fn(&Value, &mut Map<String, Value>) -> Result<(), Fault>);

const SETTINGS: &[Setting] = &[
    ("Runtime", runtime),
    ("Handler", handler),
    ("Role", role),
    ("Description", description),
    ("Timeout", |value, spec| number(value, spec, "timeout", "timeoutSeconds", 1, 900)),
    ("MemorySize", |value, spec| number(value, spec, "memorySize", "memoryMB", 128, 10240)),
    ("EphemeralStorage", ephemeral_storage),
    ("Environment", environment),
    ("LoggingConfig", super::logging::read),
    ("Architectures", architectures),
    ("TracingConfig", tracing),
    ("Layers", layers),
    ("ImageConfig", super::image::config),
    ("DeadLetterConfig", dead_letter),
];

type Neutral = (&'static str, fn(&Value) -> bool);

/// Members that the platform cannot honour, and the values that ask for nothing.
const NEUTRAL: &[Neutral] = &[
    ("VpcConfig", |value| all_empty(value)),
    ("KMSKeyArn", |value| value == ""),
    ("FileSystemConfigs", |value| all_empty(value)),
    ("CodeSigningConfigArn", |value| value == ""),
    ("SnapStart", |value| value["ApplyOn"] == "None"),
    ("CapacityProviderConfig", |value| all_empty(value)),
    ("DurableConfig", |value| all_empty(value)),
    ("TenancyConfig", |value| all_empty(value)),
];

/// The members of `input` that are settings, written into `spec`. `known` are the other members that the operation
/// reads itself.
pub(crate) fn apply(
    input: &Map<String, Value>,
    known: &[&str],
    spec: &mut Map<String, Value>,
) -> Result<(), Fault> {
    for (member, value) in input.iter().filter(|(_, value)| !value.is_null()) {
        if let Some((_, read)) = SETTINGS.iter().find(|(name, _)| name == member) {
            read(value, spec)?;
        } else if let Some((_, asks_for_nothing)) = NEUTRAL.iter().find(|(name, _)| name == member) {
            if !asks_for_nothing(value) {
                return Err(Fault::unsupported(member));
            }
        } else if !known.contains(&member.as_str()) {
            return Err(Fault::unsupported(member));
        }
    }
    Ok(())
}

fn all_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(all_empty),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str, Fault> {
    value.as_str().ok_or_else(|| Fault::serialization(format!("{member} must be a string")))
}

fn runtime(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let name = text(value, "Runtime")?;
    if !RUNTIMES.contains(&name) {
        return Err(Fault::invalid_parameter(format!(
            "Value {name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a \
             valid ARN",
            RUNTIMES.join(", ")
        )));
    }
    spec.insert("runtime".to_owned(), json!(name));
    Ok(())
}

fn handler(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let name = text(value, "Handler")?;
    if name.len() > 128 {
        return Err(too_long("handler", name, 128));
    }
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(pattern("handler", name, r"[^\s]+"));
    }
    spec.insert("handler".to_owned(), json!(name));
    Ok(())
}

fn role(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let arn = text(value, "Role")?;
    if !is_role(arn) {
        return Err(pattern("role", arn, r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"));
    }
    spec.insert("role".to_owned(), json!(arn));
    Ok(())
}

fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [arn, partition, "iam", "", account, role] = parts[..] else { return false };
    let name = role.strip_prefix("role").map(|rest| rest.strip_prefix('/').unwrap_or(rest));
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c);
    arn == "arn"
        && (partition.is_empty() || partition.starts_with("aws"))
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && name.is_some_and(|name| !name.is_empty() && name.chars().all(plain))
}

fn description(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let words = text(value, "Description")?;
    if words.chars().count() > 256 {
        return Err(too_long("description", words, 256));
    }
    spec.insert("description".to_owned(), json!(words));
    Ok(())
}

fn number(
    value: &Value,
    spec: &mut Map<String, Value>,
    member: &str,
    field: &str,
    min: i64,
    max: i64,
) -> Result<(), Fault> {
    let number =
        value.as_i64().ok_or_else(|| Fault::serialization(format!("{member} must be a whole number")))?;
    let bound = match number {
        n if n < min => Some(("greater", min)),
        n if n > max => Some(("less", max)),
        _ => None,
    };
    if let Some((side, bound)) = bound {
        let constraint = format!("Member must have value {side} than or equal to {bound}");
        return Err(Fault::validation(member, &format!("'{number}'"), &constraint));
    }
    spec.insert(field.to_owned(), json!(number));
    Ok(())
}

fn ephemeral_storage(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    number(&value["Size"], spec, "ephemeralStorage.size", "ephemeralStorageMB", 512, 10240)
}

fn environment(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let Some(variables) = value["Variables"].as_object() else {
        spec.insert("environment".to_owned(), json!({}));
        return Ok(());
    };
    let mut bytes = 0;
    let mut reserved = Vec::new();
    for (name, value) in variables {
        bytes += name.len() + text(value, "Environment.Variables")?.len();
        let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            reserved.push(name.as_str());
        } else if !well_formed {
            return Err(pattern("environment.variables", name, "[a-zA-Z]([a-zA-Z0-9_])+"));
        }
    }
    if !reserved.is_empty() {
        return Err(Fault::invalid_parameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    if bytes > ENVIRONMENT_BYTES_MAX {
        return Err(Fault::invalid_parameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the {ENVIRONMENT_BYTES_MAX} bytes limit. String measured: {}",
            Value::Object(variables.clone())
        )));
    }
    spec.insert("environment".to_owned(), Value::Object(variables.clone()));
    Ok(())
}

fn tracing(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    if let Some(mode) = value.get("Mode").filter(|mode| !mode.is_null()) {
        spec.insert("tracing".to_owned(), json!(text(mode, "TracingConfig.Mode")?));
    }
    Ok(())
}

/// As ARNs; they are looked up before the object is written.
fn layers(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    if !value.is_array() {
        return Err(Fault::serialization("Layers must be a list"));
    }
    spec.insert("layers".to_owned(), value.clone());
    Ok(())
}

/// Whether anything takes dead letters there is asked afterwards; an empty target takes the setting away.
fn dead_letter(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let arn = match &value["TargetArn"] {
        Value::Null => "",
        arn => text(arn, "DeadLetterConfig.TargetArn")?,
    };
    let parts: Vec<&str> = arn.splitn(4, ':').collect();
    let well_formed = matches!(parts[..], ["arn", partition, service, _]
        if (partition.is_empty() || partition.starts_with("aws"))
            && !service.is_empty()
            && service.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)));
    if !arn.is_empty() && !well_formed {
        return Err(pattern("deadLetterConfig.targetArn", arn, r"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"));
    }
    spec.insert("deadLetterArn".to_owned(), json!(arn));
    Ok(())
}

/// What this machine is: code for another architecture cannot run here.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

fn architectures(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    match value.as_array().map(Vec::as_slice) {
        Some([one]) if one == ARCHITECTURE => {
            spec.insert("architectures".to_owned(), json!([ARCHITECTURE]));
            Ok(())
        }
        _ => Err(Fault::invalid_parameter(format!(
            "Architectures {value} cannot run here: this machine is [{ARCHITECTURE}]."
        ))),
    }
}

fn pattern(member: &str, value: &str, pattern: &str) -> Fault {
    let constraint = format!("Member must satisfy regular expression pattern: {pattern}");
    Fault::validation(member, &format!("'{value}'"), &constraint)
}

fn too_long(member: &str, value: &str, max: usize) -> Fault {
    let constraint = format!("Member must have length less than or equal to {max}");
    Fault::validation(member, &format!("'{value}'"), &constraint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply_to(input: Value) -> Result<Value, String> {
        let mut spec = Map::new();
        let input = input.as_object().expect("an object").clone();
        apply(&input, &["FunctionName"], &mut spec)
            .map(|()| Value::Object(spec))
            .map_err(|fault| format!("{}: {}", fault.code, fault.message))
    }

    #[test]
    fn settings_become_a_spec() {
        let spec = apply_to(json!({
            "FunctionName": "hello", "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 5,
            "Role": "arn:aws:iam::000000000000:role/service-role/any", "MemorySize": 256, "VpcConfig": {"SubnetIds": []},
            "Environment": {"Variables": {"A": "1"}}, "TracingConfig": {"Mode": "PassThrough"}, "Layers": [],

        }));
        assert_eq!(
            spec,
            Ok(json!({
                "runtime": "provided.al2023", "handler": "bootstrap", "timeoutSeconds": 5, "memoryMB": 256,
                "role": "arn:aws:iam::000000000000:role/service-role/any", "environment": {"A": "1"},
                "tracing": "PassThrough", "layers": [],
            }))
        );
    }

    #[test]
    fn bounds_and_patterns_are_those_of_the_model() {
        let refuse = |input: Value| apply_to(input).expect_err("refused");
        assert_eq!(
            refuse(json!({"MemorySize": 64})),
            "ValidationException: 1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: \
             Member must have value greater than or equal to 128"
        );
        assert!(refuse(json!({"Timeout": 901})).contains("less than or equal to 900"));
        assert!(refuse(json!({"Role": "me"})).contains("Value 'me' at 'role' failed to satisfy constraint"));
        assert!(
            refuse(json!({"Runtime": "java7"}))
                .starts_with("InvalidParameterValueException: Value java7 at 'runtime'")
        );
        assert!(refuse(json!({"Environment": {"Variables": {"AWS_REGION": "x"}}})).contains("reserved keys"));
        assert!(
            refuse(json!({"Environment": {"Variables": {"A": "x".repeat(4096)}}}))
                .contains("4096 bytes limit")
        );
        assert!(refuse(json!({"Timeout": "3"})).starts_with("SerializationException"));
    }

    #[test]
    fn nothing_is_dropped_silently() {
        let refuse = |input: Value| apply_to(input).expect_err("refused");
        let unsupported =
            |member: &str| format!("InvalidParameterValueException: {member} is not supported by dory.");
        assert_eq!(refuse(json!({"VpcConfig": {"SubnetIds": ["subnet-1"]}})), unsupported("VpcConfig"));
        assert_eq!(refuse(json!({"Whatever": 1})), unsupported("Whatever"));
    }
}
