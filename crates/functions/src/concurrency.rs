//! How many invocations may run at the same time: a function's reserved concurrency is its own and its limit; all other
//! functions share what the account has left. Counted in memory; every count is given back when its invocation ends.

use crate::invocation::ThrottleReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Invocations in flight of one function, over all its revisions.
#[derive(Debug, Default)]
pub(crate) struct Usage(AtomicU32);

/// The account: one limit, of which functions reserve parts.
#[derive(Debug)]
pub(crate) struct Account {
    limit: u32,
    reserved: AtomicU32,
    unreserved: Usage,
}

/// One counted invocation.
#[derive(Debug)]
pub(crate) struct Slot {
    function: Arc<Usage>,
    account: Option<Arc<Account>>,
}

impl Usage {
    /// Counts one more, unless that would be more than `limit`.
    fn enter(&self, limit: u32) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| (used < limit).then_some(used + 1))
            .is_ok()
    }

    /// Invocations in flight.
    pub(crate) fn running(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Account {
    pub(crate) fn new(limit: u32) -> Arc<Account> {
        Arc::new(Account { limit, reserved: AtomicU32::new(0), unreserved: Usage::default() })
    }

    /// The sum of what functions reserve has changed.
    pub(crate) fn reserve(&self, sum: u32) {
        self.reserved.store(sum, Ordering::Release);
    }

    /// What functions without a reservation share.
    pub(crate) fn unreserved_limit(&self) -> u32 {
        self.limit.saturating_sub(self.reserved.load(Ordering::Acquire))
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Counts an invocation of a function, or says which limit is in the way.
    pub(crate) fn enter(
        self: &Arc<Self>,
        function: &Arc<Usage>,
        reserved: Option<u32>,
    ) -> Result<Slot, ThrottleReason> {
        if let Some(reserved) = reserved {
            return match function.enter(reserved) {
                true => Ok(Slot { function: function.clone(), account: None }),
                false => Err(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded),
            };
        }
        if !self.unreserved.enter(self.unreserved_limit()) {
            return Err(ThrottleReason::ConcurrentInvocationLimitExceeded);
        }
        function.enter(u32::MAX);
        Ok(Slot { function: function.clone(), account: Some(self.clone()) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.function.leave();
        if let Some(account) = &self.account {
            account.unreserved.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_functions_have_their_own_and_no_more() {
        let account = Account::new(3);
        account.reserve(2);
        let (busy, other) = (Arc::new(Usage::default()), Arc::new(Usage::default()));
        let first = account.enter(&busy, Some(2)).expect("one");
        let _second = account.enter(&busy, Some(2)).expect("two");
        let refused =
            |usage: &Arc<Usage>, reserved| account.enter(usage, reserved).expect_err("a limit").as_str();
        assert_eq!(refused(&busy, Some(2)), "ReservedFunctionConcurrentInvocationLimitExceeded");
        let _third = account.enter(&other, None).expect("what is left");
        assert_eq!(refused(&other, None), "ConcurrentInvocationLimitExceeded");
        drop(first);
        assert!(account.enter(&busy, Some(2)).is_ok());
        assert_eq!(refused(&busy, Some(0)), "ReservedFunctionConcurrentInvocationLimitExceeded");
    }
}
