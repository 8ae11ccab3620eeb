//! What writes are made of: operations going in, changes coming out. Never decides whether one applies.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Error, Revision};

/// Operations in one transaction, at most. Ten bits of a log row's id number them.
pub const OPS_MAX: usize = 1 << 10;

/// Keys and values of one transaction together, at most. A Kubernetes request body is at most 3 MiB, so this
/// leaves room for a transaction that touches a few of the biggest objects.
pub const TRANSACTION_BYTES_MAX: usize = 8 << 20;

/// What an operation demands of the key as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// The key must not exist.
    Absent,
    /// The key must exist and its last put must be of this revision.
    Modified(Revision),
}

/// One step of a transaction.
#[derive(Debug, Clone)]
pub enum Op {
    /// Sets the value of a key.
    Put {
        /// The key.
        key: Arc<str>,
        /// Its new value.
        value: Bytes,
        /// What must hold before.
        expect: Expect,
    },
    /// Removes a key. Removing an absent key changes nothing, so with `Expect::Absent` this is only a check.
    Delete {
        /// The key.
        key: Arc<str>,
        /// What must hold before.
        expect: Expect,
    },
}

impl Op {
    pub(crate) fn key(&self) -> &Arc<str> {
        match self {
            Op::Put { key, .. } | Op::Delete { key, .. } => key,
        }
    }

    pub(crate) fn expect(&self) -> Expect {
        match self {
            Op::Put { expect, .. } | Op::Delete { expect, .. } => *expect,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { key, .. } => key.len(),
        }
    }
}

/// What one operation did, as a watch shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision of its transaction.
    pub revision: Revision,
    /// The key.
    pub key: Arc<str>,
    /// The new value; `None` if the key was deleted.
    pub value: Option<Bytes>,
    /// The value before; `None` if the key was not there.
    pub previous: Option<Bytes>,
}

/// Checks the shape of a transaction before it is queued; gives its size in bytes.
pub(crate) fn check(ops: &[Op]) -> Result<usize, Error> {
    if ops.len() > OPS_MAX {
        return Err(Error::TooMany { ops: ops.len() });
    }
    let bytes = ops.iter().map(Op::bytes).sum();
    if bytes > TRANSACTION_BYTES_MAX {
        return Err(Error::TooLarge { bytes });
    }
    let mut seen = HashSet::with_capacity(ops.len());
    match ops.iter().find(|op| !seen.insert(op.key())) {
        Some(op) => Err(Error::Repeated { key: op.key().clone() }),
        None => Ok(bytes),
    }
}
