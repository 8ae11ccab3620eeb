//! What instances have of AWS: the door, and the credentials that they sign with, each of its function's role, for this
//! instance, and for a while.

use crate::definition::Definition;
use crate::machine::Machine;
use instance::Door;
use jiff::Timestamp;
use policy::{DEFAULT_ROLE, role_name};
use sigv4::{Credentials, Keys, Session};
use std::sync::Arc;
use std::time::Duration;

/// What instances have of AWS.
#[derive(Clone)]
pub struct Aws {
    /// Makes their credentials.
    pub keys: Arc<Keys>,
    /// Answers what they ask.
    pub door: Arc<dyn Door>,
    /// How long their credentials are valid. An instance is replaced when eleven twelfths of it have passed, and what
    /// is left must be longer than the longest invocation.
    pub session: Duration,
}

impl Aws {
    /// The age at which an instance takes no more events.
    pub(crate) fn rotate_after(&self) -> Duration {
        self.session - self.session / 12
    }

    /// The credentials of an instance that starts now.
    pub(crate) fn credentials(&self, machine: &Machine, definition: &Definition, id: &str) -> Credentials {
        let role = role_name(&definition.revision.role, &machine.account_id).unwrap_or(DEFAULT_ROLE);
        let seconds = i64::try_from(self.session.as_secs()).unwrap_or(i64::MAX);
        self.keys.mint(&Session {
            role: Some(role.to_owned()),
            name: definition.name.clone(),
            expires: Timestamp::now().as_second().saturating_add(seconds),
            instance: Some(id.to_owned()),
        })
    }
}
