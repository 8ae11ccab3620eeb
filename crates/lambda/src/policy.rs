//! Resource policies as objects keep them: one IAM document, as text in `spec.policy` of a function, version, alias or
//! layer version. Pure.

use super::configuration::revision_id;
use serde_json::{Value, json};
use wire::Fault;

/// The largest policy, as on AWS.
pub(crate) const POLICY_BYTES_MAX: usize = 20 * 1024;

/// The policy document, if there is one.
pub(crate) fn text(object: &Value) -> Option<&str> {
    object["spec"]["policy"].as_str()
}

/// The answer of the operations that show a policy.
pub(crate) fn show(object: &Value) -> Result<Value, Fault> {
    let policy = text(object).ok_or_else(none)?;
    Ok(json!({ "Policy": policy, "RevisionId": revision_id(object) }))
}

/// There is nothing to show or to remove.
pub(crate) fn none() -> Fault {
    Fault::not_found("The resource you requested does not exist.")
}

/// The statements of the document.
pub(crate) fn statements(object: &Value) -> Vec<Value> {
    let document = text(object).and_then(|text| serde_json::from_str::<Value>(text).ok());
    match document.map(|mut document| document["Statement"].take()) {
        Some(Value::Array(statements)) => statements,
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

/// Adds a statement, whose `Sid` must be new.
pub(crate) fn add(object: &mut Value, statement: &Value) -> Result<(), Fault> {
    let mut all = statements(object);
    if all.iter().any(|known| known["Sid"] == statement["Sid"]) {
        return Err(Fault::conflict(format!(
            "The statement id ({}) provided already exists. Please provide a new statement id, or remove the existing \
             statement.",
            statement["Sid"].as_str().unwrap_or_default()
        )));
    }
    all.push(statement.clone());
    put(object, Some(json!({ "Version": "2012-10-17", "Id": "default", "Statement": all }).to_string()))
}

/// Removes the statement with this `Sid`.
pub(crate) fn remove(object: &mut Value, id: &str) -> Result<(), Fault> {
    let mut all = statements(object);
    let before = all.len();
    all.retain(|statement| statement["Sid"] != id);
    if all.len() == before {
        return Err(Fault::not_found(format!("Statement {id} is not found in resource policy.")));
    }
    let document = json!({ "Version": "2012-10-17", "Id": "default", "Statement": all }).to_string();
    put(object, (!all.is_empty()).then_some(document))
}

/// Replaces the whole document, or takes it away.
pub(crate) fn put(object: &mut Value, document: Option<String>) -> Result<(), Fault> {
    let Some(spec) = object["spec"].as_object_mut() else { return Err(none()) };
    match document {
        None => {
            spec.remove("policy");
        }
        Some(text) if text.len() > POLICY_BYTES_MAX => {
            return Err(Fault::policy_too_long(format!(
                "The final policy size ({}) is bigger than the limit ({POLICY_BYTES_MAX}).",
                text.len()
            )));
        }
        Some(text) => {
            spec.insert("policy".to_owned(), json!(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_come_and_go() {
        let mut object = json!({ "spec": {} });
        let statement = |id: &str| json!({ "Sid": id, "Effect": "Allow" });
        add(&mut object, &statement("a")).expect("the first");
        add(&mut object, &statement("b")).expect("the second");
        assert_eq!(add(&mut object, &statement("a")).expect_err("twice").code, "ResourceConflictException");
        assert_eq!(statements(&object).len(), 2);
        remove(&mut object, "a").expect("it was there");
        assert_eq!(remove(&mut object, "a").expect_err("gone").code, "ResourceNotFoundException");
        remove(&mut object, "b").expect("the last");
        assert_eq!(object, json!({ "spec": {} }));
        assert_eq!(show(&object).expect_err("none").code, "ResourceNotFoundException");
    }

    #[test]
    fn a_policy_has_its_limit() {
        let mut object = json!({ "spec": {} });
        let long = put(&mut object, Some("x".repeat(POLICY_BYTES_MAX + 1))).expect_err("too long");
        assert_eq!(long.code, "PolicyLengthExceededException");
        assert_eq!(text(&object), None);
    }
}
