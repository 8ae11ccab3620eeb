//! Who may call a function's URL (AWS Lambda developer guide, "Control access to Lambda function URLs"). With `NONE`
//! nobody has a name, and the function's resource policy must let everybody call; with `AWS_IAM` callers sign, and those
//! of this account may call unless the policy denies it: what a role may do is not evaluated.

use client::{ApiResource, Key, Objects, is_not_found};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use policy::{Decision, Question};
use sigv4::{Principal, VerifyError};

use super::Door;
use crate::answer::{self, Body};
use crate::table::Function;

/// What a caller needs: both, since October 2025.
const ACTIONS: [&str; 2] = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"];
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Who signed the request.
pub(super) struct Caller {
    pub(super) access_key: String,
    pub(super) arn: String,
    /// The account's number, or the role's id and the session's name.
    pub(super) id: String,
}

type Refusal = Box<Response<Body>>;

impl Door {
    /// Who calls: nobody in particular, or whoever signed if the function wants that.
    pub(super) async fn admit(
        &self,
        function: &Function,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Option<Caller>, Refusal> {
        let caller = match function.signed {
            true => Some(self.authenticate(parts, body).await?),
            false => None,
        };
        let auth_type = if function.signed { "AWS_IAM" } else { "NONE" };
        let context = [("lambda:FunctionUrlAuthType", auth_type), ("lambda:InvokedViaFunctionUrl", "true")];
        let resource = function.arn(&self.region, &self.account_id);
        let names = caller.as_ref().map(|caller| [("AWS", caller.arn.as_str()), ("AWS", &self.account_id)]);
        let principals = names.as_ref().map_or(&[][..], |names| names);
        let allowed = ACTIONS.iter().all(|action| {
            let question = Question { principals, action, resource: &resource, context: &context };
            let decision =
                function.policy.as_ref().map_or(Decision::Silent, |policy| policy.decide(&question));
            decision == Decision::Allowed || (decision == Decision::Silent && function.signed)
        });
        if allowed { Ok(caller) } else { Err(forbidden("Forbidden")) }
    }

    async fn authenticate(&self, parts: &Parts, body: &[u8]) -> Result<Caller, Refusal> {
        let now = Timestamp::now();
        let signed = match sigv4::verify(parts, body, &|id, token| self.keys.find(id, token, now), now) {
            Ok(signed) => signed,
            Err(VerifyError::Missing) => return Err(forbidden("Forbidden")),
            Err(error) => return Err(forbidden(&error.to_string())),
        };
        if signed.service != "lambda" {
            return Err(forbidden(&format!(
                "Credential should be scoped to correct service: 'lambda', not {}",
                signed.service
            )));
        }
        let account = &self.account_id;
        let (arn, id) = match &signed.principal {
            Principal::Session(session) if session.role.is_some() => {
                let role = session.role.as_deref().unwrap_or_default();
                let uid = self.role_uid(role).await?;
                let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/{}", session.name);
                (arn, format!("{}:{}", policy::iam_id("AROA", &uid), session.name))
            }
            _ => (format!("arn:aws:iam::{account}:root"), account.clone()),
        };
        Ok(Caller { access_key: signed.access_key_id, arn, id })
    }

    /// The uid of a role's object. The credentials of a role that is gone are not valid any more.
    async fn role_uid(&self, role: &str) -> Result<String, Refusal> {
        match self.roles.get(&Key::new(String::new(), role.to_owned())).await {
            Ok(found) => Ok(found["metadata"]["uid"].as_str().unwrap_or_default().to_owned()),
            Err(error) if is_not_found(&error) => Err(forbidden(&VerifyError::UnknownKey.to_string())),
            Err(error) => {
                tracing::warn!(role, %error, "a caller's role cannot be read");
                Err(Box::new(answer::json(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Message",
                    "Internal Server Error",
                )))
            }
        }
    }
}

/// Where roles are.
pub(crate) fn roles(client: client::kube::Client) -> Objects {
    let resource = ApiResource {
        group: "dory.dev".to_owned(),
        version: "v1".to_owned(),
        api_version: "dory.dev/v1".to_owned(),
        kind: "IamRole".to_owned(),
        plural: "iamroles".to_owned(),
    };
    Objects::new(client, resource)
}

fn forbidden(message: &str) -> Refusal {
    let mut answer = answer::json(StatusCode::FORBIDDEN, "Message", message);
    answer.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static("AccessDeniedException"));
    Box::new(answer)
}
