//! AddPermission and RemovePermission: statements of the queue's policy, which is kept and shown, not evaluated.

use super::input::Input;
use super::{Answer, Refused, Service};
use managed::Settings;
use serde_json::{Value, json};

const LABEL_MAX: usize = 80;
/// Actions in one statement, and statements of one policy, as on AWS.
const ACTIONS_MAX: usize = 7;
const STATEMENTS_MAX: usize = 20;

const ACTIONS: [&str; 8] = [
    "*",
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
];

pub(super) async fn add(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let label = label(input)?;
    let accounts = input.texts("AWSAccountIds")?;
    let actions = input.texts("Actions")?;
    if accounts.is_empty() {
        return Err(Refused::missing("AWSAccountIds"));
    }
    if actions.is_empty() {
        return Err(Refused::missing("Actions"));
    }
    if actions.len() > ACTIONS_MAX {
        return Err(Refused::over_limit(format!(
            "{} Actions were found, maximum allowed is {ACTIONS_MAX}.",
            actions.len()
        )));
    }
    let number = |account: &&&str| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(account) = accounts.iter().find(|account| !number(account)) {
        return Err(Refused::value("PrincipalId", account, "Unable to verify."));
    }
    if let Some(action) = actions.iter().find(|action| !ACTIONS.contains(action)) {
        return Err(Refused::value(
            "ActionName",
            action,
            "Please refer to the appropriate WSDL for a list of valid actions.",
        ));
    }
    let arn = service.arn(queue.name());
    let principals: Vec<String> =
        accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
    let actions: Vec<String> = actions.iter().map(|action| format!("SQS:{action}")).collect();
    let statement = json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": one_or_all(&principals) },
        "Action": one_or_all(&actions),
        "Resource": arn,
    });
    let change = |settings: &mut Settings| {
        let mut policy = policy(settings, &arn);
        let mut statements = statements(&policy);
        if statements.iter().any(|known| known["Sid"] == label) {
            return Err(Refused::value("Label", label, "Already exists."));
        }
        if statements.len() >= STATEMENTS_MAX {
            return Err(Refused::over_limit(format!("A queue has {STATEMENTS_MAX} permissions at most.")));
        }
        statements.push(statement.clone());
        policy["Statement"] = Value::Array(statements);
        settings.policy = Some(policy.to_string());
        Ok(())
    };
    service.broker().change::<Refused>(queue.name(), change).await?;
    Ok(Value::Null)
}

pub(super) async fn remove(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let label = label(input)?;
    let arn = service.arn(queue.name());
    let change = |settings: &mut Settings| {
        let mut policy = policy(settings, &arn);
        let mut statements = statements(&policy);
        let before = statements.len();
        statements.retain(|statement| statement["Sid"] != label);
        if statements.len() == before {
            return Err(Refused::value("Label", label, "can't find label on existing policy."));
        }
        let any = !statements.is_empty();
        policy["Statement"] = Value::Array(statements);
        settings.policy = any.then(|| policy.to_string());
        Ok(())
    };
    service.broker().change::<Refused>(queue.name(), change).await?;
    Ok(Value::Null)
}

fn label(input: &Input) -> Result<&str, Refused> {
    let label = input.required("Label")?;
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match plain && label.len() <= LABEL_MAX {
        true => Ok(label),
        false => {
            let reason =
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.";
            Err(Refused::value("Label", label, reason))
        }
    }
}

/// The queue's policy, or a new one.
fn policy(settings: &Settings, arn: &str) -> Value {
    let kept = settings.policy.as_deref().and_then(|text| serde_json::from_str(text).ok());
    kept.unwrap_or_else(
        || json!({"Version": "2012-10-17", "Id": format!("{arn}/SQSDefaultPolicy"), "Statement": []}),
    )
}

/// Its statements; a single one may stand without a list.
fn statements(policy: &Value) -> Vec<Value> {
    match &policy["Statement"] {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn one_or_all(texts: &[String]) -> Value {
    match texts {
        [one] => json!(one),
        all => json!(all),
    }
}
