//! Who calls: the account itself, or a session of a role. Owns the names that callers have in ARNs, and the one rule
//! about where credentials may be used.

use crate::Iam;
use http::request::Parts;
use sigv4::{Caller, Principal, VerifyError};
use wire::{Call, Fault, FromInstance};

/// An instance's credentials are of no use in another instance. Elsewhere they are: a function may presign a request
/// that somebody else sends.
pub fn at_home(parts: &Parts, caller: Caller) -> Result<Caller, VerifyError> {
    let Principal::Session(session) = &caller.principal else { return Ok(caller) };
    match (parts.extensions.get::<FromInstance>(), &session.instance) {
        (Some(FromInstance(door)), Some(made_for)) if door != made_for => Err(VerifyError::UnknownKey),
        _ => Ok(caller),
    }
}

/// The names of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub arn: String,
    pub user_id: String,
    /// The role's own ARN, for a session of a role.
    pub role_arn: Option<String>,
}

/// The credentials of a role that is gone are not valid any more, whatever they are used for.
pub async fn check(iam: &Iam, call: &Call) -> Result<(), Fault> {
    match &call.caller.principal {
        Principal::Account => Ok(()),
        Principal::Session(_) => Box::pin(identity(iam, call)).await.map(drop),
    }
}

/// Finds out who calls, if it is somebody.
pub async fn identity(iam: &Iam, call: &Call) -> Result<Identity, Fault> {
    of(iam, &call.caller, call.json).await
}

/// The same, of whoever signed for another protocol.
pub async fn of(iam: &Iam, caller: &Caller, json: bool) -> Result<Identity, Fault> {
    let account = &iam.config.account_id;
    let root =
        || Identity { arn: format!("arn:aws:iam::{account}:root"), user_id: account.clone(), role_arn: None };
    let Principal::Session(session) = &caller.principal else { return Ok(root()) };
    let Some(name) = &session.role else { return Ok(root()) };
    let role =
        crate::find_role(iam, name).await?.ok_or_else(|| Fault::signature(&VerifyError::UnknownKey, json))?;
    Ok(Identity {
        arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{}", session.name),
        user_id: format!("{}:{}", crate::id("AROA", &role), session.name),
        role_arn: Some(crate::arn(iam, "role", &role)),
    })
}
