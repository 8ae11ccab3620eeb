//! STS, as far as clients need it to find out who they are: `GetCallerIdentity` in the query protocol of 2011-06-15.

use crate::door::{Call, Door, parameters};
use crate::fault::Fault;
use crate::reply::{self, Reply};

pub(crate) fn serve(door: &Door, call: &Call) -> Result<Reply, Fault> {
    let form = String::from_utf8_lossy(&call.body);
    let mut all = parameters(call.parts.uri.query().unwrap_or_default());
    all.extend(parameters(&form));
    let action = all.into_iter().find(|(name, _)| name == "Action").map(|(_, value)| value);
    match action.as_deref() {
        Some("GetCallerIdentity") => Ok(caller_identity(&door.config.account_id, &call.request_id)),
        Some(other) => Err(Fault {
            status: 400,
            code: "InvalidAction",
            message: format!("The action {other} is not supported by dory. GetCallerIdentity is."),
            blame: crate::fault::Blame::User,
            reason: None,
        }),
        None => Err(Fault {
            status: 400,
            code: "MissingAction",
            message: "Missing Action".to_owned(),
            blame: crate::fault::Blame::User,
            reason: None,
        }),
    }
}

/// There are no users yet: whoever holds the keys is the account.
fn caller_identity(account_id: &str, request_id: &str) -> Reply {
    let text = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
         <GetCallerIdentityResult>\n    <Arn>arn:aws:iam::{account_id}:root</Arn>\n    <UserId>{account_id}</UserId>\n    \
         <Account>{account_id}</Account>\n  </GetCallerIdentityResult>\n  <ResponseMetadata>\n    \
         <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n</GetCallerIdentityResponse>\n"
    );
    reply::raw(200, "text/xml", text)
}
