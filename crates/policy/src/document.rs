//! A policy document: what it must have depends on what it is attached to. The refusals are in AWS's words.

use serde_json::{Map, Value};

/// What a document is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A role, saying who may assume it.
    Trust,
    /// A role, saying what it may do; also managed policies.
    Identity,
    /// A resource, saying who may do what with it.
    Resource,
}

/// Why a document is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// A policy that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) allow: bool,
    /// Of `Principal`: kind and name. `None` when the element is absent.
    pub(crate) principals: Option<Vec<(String, String)>>,
    pub(crate) actions: Patterns,
    pub(crate) resources: Patterns,
    pub(crate) condition: Map<String, Value>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Patterns {
    pub(crate) all: Vec<String>,
    /// Whether everything else is meant.
    pub(crate) not: bool,
    pub(crate) absent: bool,
}

const ELEMENTS: &[&str] =
    &["Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

const VERSIONS: &[&str] = &["2012-10-17", "2008-10-17"];

fn malformed<T>(text: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(text.into()))
}

impl Policy {
    /// Reads a document and checks that it is one for its place.
    pub fn read(text: &str, kind: Kind) -> Result<Policy, Malformed> {
        let document: Value = serde_json::from_str(text)
            .map_err(|_| Malformed("This policy contains invalid Json".to_owned()))?;
        Policy::of(&document, kind)
    }

    /// As [`Policy::read`], of a document that is JSON already.
    pub fn of(document: &Value, kind: Kind) -> Result<Policy, Malformed> {
        let Some(members) = document.as_object() else { return malformed("Syntax errors in policy.") };
        if let Some(unknown) =
            members.keys().find(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
        {
            return malformed(format!("Syntax errors in policy. (unknown field {unknown})"));
        }
        if let Some(version) = members.get("Version")
            && !version.as_str().is_some_and(|version| VERSIONS.contains(&version))
        {
            return malformed("The policy must contain a valid version string");
        }
        let statements = match members.get("Statement") {
            Some(Value::Array(all)) => all.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return malformed("Syntax errors in policy."),
        };
        if statements.is_empty() {
            return malformed("Policy document must contain at least one statement.");
        }
        let statements = statements.into_iter().map(|statement| Statement::read(statement, kind));
        Ok(Policy { statements: statements.collect::<Result<_, _>>()? })
    }
}

impl Statement {
    fn read(value: &Value, kind: Kind) -> Result<Statement, Malformed> {
        let Some(members) = value.as_object() else { return malformed("Syntax errors in policy.") };
        if let Some(unknown) = members.keys().find(|key| !ELEMENTS.contains(&key.as_str())) {
            return malformed(format!("Syntax errors in policy. (unknown field {unknown})"));
        }
        let allow = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            None => return malformed("Missing required field Effect"),
            Some(other) => return malformed(format!("Invalid effect: {other}")),
        };
        let statement = Statement {
            allow,
            principals: members.get("Principal").map(principals).transpose()?,
            actions: patterns(members, "Action", "NotAction")?,
            resources: patterns(members, "Resource", "NotResource")?,
            condition: match members.get("Condition") {
                None => Map::new(),
                Some(Value::Object(condition)) => condition.clone(),
                Some(_) => return malformed("Syntax errors in policy."),
            },
        };
        statement.check(kind)?;
        Ok(statement)
    }

    fn check(&self, kind: Kind) -> Result<(), Malformed> {
        let principal = self.principals.is_some();
        match kind {
            Kind::Trust if !principal => malformed("Missing required field Principal"),
            Kind::Trust if !self.resources.absent => malformed("Has prohibited field Resource"),
            _ if self.actions.absent => malformed(match kind {
                Kind::Identity => "Policy statement must contain actions.",
                _ => "Missing required field Action",
            }),
            Kind::Trust if !self.actions.all.iter().all(|action| is_sts(action)) => {
                malformed("AssumeRole policy may only specify STS AssumeRole actions.")
            }
            Kind::Identity if principal => malformed("Policy document should not specify a principal."),
            Kind::Identity if self.resources.absent => malformed("Policy statement must contain resources."),
            Kind::Resource if !principal => malformed("Missing required field Principal"),
            _ => self.check_words(),
        }
    }

    fn check_words(&self) -> Result<(), Malformed> {
        for action in &self.actions.all {
            if action != "*"
                && !action
                    .split_once(':')
                    .is_some_and(|(vendor, rest)| !vendor.is_empty() && !rest.is_empty())
            {
                return malformed(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                );
            }
        }
        for resource in &self.resources.all {
            if resource != "*" && !resource.starts_with("arn:") && !resource.starts_with('*') {
                return malformed(format!("Resource {resource} must be in ARN format or \"*\"."));
            }
        }
        Ok(())
    }
}

fn is_sts(action: &str) -> bool {
    action == "*" || action.to_ascii_lowercase().starts_with("sts:")
}

fn principals(value: &Value) -> Result<Vec<(String, String)>, Malformed> {
    let members = match value {
        Value::String(all) if all == "*" => return Ok(vec![("*".to_owned(), "*".to_owned())]),
        Value::Object(members) if !members.is_empty() => members,
        other => return malformed(format!("Invalid principal in policy: {other}")),
    };
    let mut found = Vec::new();
    for (kind, names) in members {
        if !["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind.as_str()) {
            return malformed(format!("Invalid principal in policy: \"{kind}\""));
        }
        let Some(names) = strings(names) else { return malformed("Invalid principal in policy.") };
        found.extend(names.into_iter().map(|name| (kind.clone(), name)));
    }
    Ok(found)
}

fn patterns(members: &Map<String, Value>, is: &str, is_not: &str) -> Result<Patterns, Malformed> {
    let (value, not) = match (members.get(is), members.get(is_not)) {
        (None, None) => return Ok(Patterns { absent: true, ..Patterns::default() }),
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        (Some(_), Some(_)) => return malformed("Syntax errors in policy."),
    };
    match strings(value) {
        Some(all) if !all.is_empty() => Ok(Patterns { all, not, absent: false }),
        _ => malformed("Syntax errors in policy."),
    }
}

/// One string or several.
pub(crate) fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(all) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, kind: Kind) -> String {
        Policy::read(text, kind).expect_err("malformed").0
    }

    #[test]
    fn a_document_fits_its_place() {
        let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        assert_eq!(Policy::read(trust, Kind::Trust).expect("a policy").statements.len(), 1);
        assert_eq!(refused(trust, Kind::Identity), "Policy document should not specify a principal.");
        let identity =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}]}"#;
        assert!(Policy::read(identity, Kind::Identity).is_ok());
        assert_eq!(refused(identity, Kind::Trust), "Missing required field Principal");
        assert_eq!(refused(identity, Kind::Resource), "Missing required field Principal");
    }

    #[test]
    fn what_is_no_policy_is_told_why() {
        let identity = |text: &str| refused(text, Kind::Identity);
        assert_eq!(identity("{"), "This policy contains invalid Json");
        assert_eq!(identity("[]"), "Syntax errors in policy.");
        assert_eq!(
            identity(r#"{"Version":"2020-01-01","Statement":[]}"#),
            "The policy must contain a valid version string"
        );
        assert_eq!(
            identity(r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#),
            "Policy statement must contain actions."
        );
        assert_eq!(
            identity(r#"{"Statement":[{"Effect":"Allow","Action":"s3:x"}]}"#),
            "Policy statement must contain resources."
        );
        assert_eq!(identity(r#"{"Statement":[{"Effect":"Maybe"}]}"#), "Invalid effect: Maybe");
        assert!(
            identity(r#"{"Statement":[{"Effect":"Allow","Action":"nonsense","Resource":"*"}]}"#)
                .contains("vendor")
        );
        assert!(
            identity(r#"{"Statement":[{"Effect":"Allow","Action":"s3:x","Resource":"bucket"}]}"#)
                .contains("ARN")
        );
        let other = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}"#;
        assert_eq!(refused(other, Kind::Trust), "AssumeRole policy may only specify STS AssumeRole actions.");
    }
}
