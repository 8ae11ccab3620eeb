//! A question to a document. An explicit deny counts more than any allow; what no statement speaks of is left open, and
//! whoever asks decides what that means.

use crate::condition::holds;
use crate::document::{Patterns, Policy, Statement};
use crate::is_like;

/// Who wants to do what.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The names of the caller, each with its kind: `("AWS", "arn:aws:iam::000000000000:role/x")`,
    /// `("Service", "lambda.amazonaws.com")`. None for somebody without a name.
    pub principals: &'a [(&'a str, &'a str)],
    /// Such as `lambda:InvokeFunctionUrl`.
    pub action: &'a str,
    /// The ARN; empty for trust policies, which have none.
    pub resource: &'a str,
    /// Keys that conditions may ask for.
    pub context: &'a [(&'a str, &'a str)],
}

/// What a document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement speaks of it.
    Silent,
}

impl Policy {
    /// What this document says to a question.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let applies = |allow: bool| {
            self.statements.iter().any(|statement| statement.allow == allow && statement.applies(question))
        };
        match (applies(false), applies(true)) {
            (true, _) => Decision::Denied,
            (false, true) => Decision::Allowed,
            (false, false) => Decision::Silent,
        }
    }
}

impl Statement {
    fn applies(&self, question: &Question<'_>) -> bool {
        let fits = |patterns: &Patterns, text: &str, fold: bool| {
            let like = |pattern: &String| match fold {
                // Actions are written in any case.
                true => is_like(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase()),
                false => is_like(pattern, text),
            };
            patterns.absent || patterns.all.iter().any(like) != patterns.not
        };
        self.names(question)
            && fits(&self.actions, question.action, true)
            && fits(&self.resources, question.resource, false)
            && holds(&self.condition, question.context).unwrap_or(!self.allow)
    }

    fn names(&self, question: &Question<'_>) -> bool {
        let Some(principals) = &self.principals else { return true };
        principals.iter().any(|(kind, name)| {
            (name == "*" && (kind == "*" || kind == "AWS"))
                || question.principals.iter().any(|(its, called)| its == kind && called == name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    const LAMBDA: &[(&str, &str)] = &[("Service", "lambda.amazonaws.com")];

    fn ask(
        statement: &str,
        kind: Kind,
        principals: &[(&str, &str)],
        action: &str,
        resource: &str,
    ) -> Decision {
        let policy = Policy::read(&format!(r#"{{"Statement":[{statement}]}}"#), kind).expect("a policy");
        policy.decide(&Question { principals, action, resource, context: &[] })
    }

    #[test]
    fn trust() {
        let allow = r#"{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","x.amazonaws.com"]},"Action":"sts:assumerole"}"#;
        let assume =
            |statement: &str, principals| ask(statement, Kind::Trust, principals, "sts:AssumeRole", "");
        assert_eq!(assume(allow, LAMBDA), Decision::Allowed);
        assert_eq!(assume(allow, &[("Service", "ec2.amazonaws.com")]), Decision::Silent);
        assert_eq!(assume(allow, &[]), Decision::Silent);
        let deny = format!(r#"{allow},{{"Effect":"Deny","Principal":"*","Action":"*"}}"#);
        assert_eq!(assume(&deny, LAMBDA), Decision::Denied);
        let unknown = r#"{"Effect":"Allow","Principal":"*","Action":"sts:*","Condition":{"IpAddress":{"aws:SourceIp":"::/0"}}}"#;
        assert_eq!(assume(unknown, LAMBDA), Decision::Silent);
        assert_eq!(assume(&unknown.replace("Allow", "Deny"), LAMBDA), Decision::Denied);
    }

    #[test]
    fn actions_and_resources() {
        let allow =
            r#"{"Effect":"Allow","NotAction":"lambda:Delete*","Resource":"arn:aws:lambda:*:*:function:a*"}"#;
        let may = |action, resource| ask(allow, Kind::Identity, &[], action, resource);
        assert_eq!(
            may("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:0:function:abc"),
            Decision::Allowed
        );
        assert_eq!(may("lambda:DeleteFunction", "arn:aws:lambda:us-east-1:0:function:abc"), Decision::Silent);
        assert_eq!(may("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:0:function:b"), Decision::Silent);
    }
}
