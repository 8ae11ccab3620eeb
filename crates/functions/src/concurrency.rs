//! How many invocations may run at the same time: a function's reserved concurrency is its own and its limit; all other
//! functions share what the account has left. What is provisioned for a version is a part that is kept for it. Counted in memory; every count is given back when its invocation ends.

use crate::invocation::ThrottleReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Invocations in flight of one function, over all its revisions.
#[derive(Debug, Default)]
pub(crate) struct Usage(AtomicU32);

/// What limits the invocations of one version of a function.
pub(crate) struct Limits<'a> {
    /// Invocations of the function in flight, in all.
    pub(crate) running: &'a Arc<Usage>,
    /// Those of them that are not on what is provisioned.
    pub(crate) on_demand: &'a Arc<Usage>,
    /// What the function reserves.
    pub(crate) reserved: Option<u32>,
    /// What is provisioned for versions of the function, in all.
    pub(crate) provisioned_sum: u32,
    /// What is provisioned for this version, and how much of it is in use.
    pub(crate) provisioned: (&'a Arc<Usage>, u32),
}

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
    running: Arc<Usage>,
    /// The function's share on demand, or the version's provisioned one.
    share: Arc<Usage>,
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

    /// Counts an invocation of a function, or says which limit is in the way. What is provisioned is used first.
    pub(crate) fn enter(self: &Arc<Self>, limits: &Limits<'_>) -> Result<Slot, ThrottleReason> {
        let (provisioned, instances) = limits.provisioned;
        if instances > 0 && provisioned.enter(instances) {
            return Ok(Slot::new(limits, provisioned, None));
        }
        if let Some(reserved) = limits.reserved {
            // What is provisioned is part of the reservation, and kept for those versions.
            return match limits.on_demand.enter(reserved.saturating_sub(limits.provisioned_sum)) {
                true => Ok(Slot::new(limits, limits.on_demand, None)),
                false => Err(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded),
            };
        }
        if !self.unreserved.enter(self.unreserved_limit()) {
            return Err(ThrottleReason::ConcurrentInvocationLimitExceeded);
        }
        limits.on_demand.enter(u32::MAX);
        Ok(Slot::new(limits, limits.on_demand, Some(self.clone())))
    }
}

impl Slot {
    fn new(limits: &Limits<'_>, share: &Arc<Usage>, account: Option<Arc<Account>>) -> Slot {
        limits.running.enter(u32::MAX);
        Slot { running: limits.running.clone(), share: share.clone(), account }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.running.leave();
        self.share.leave();
        if let Some(account) = &self.account {
            account.unreserved.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Function {
        running: Arc<Usage>,
        on_demand: Arc<Usage>,
        provisioned: Arc<Usage>,
    }

    impl Function {
        fn enter(
            &self,
            account: &Arc<Account>,
            reserved: Option<u32>,
            provisioned: u32,
        ) -> Result<Slot, &'static str> {
            let limits = Limits {
                running: &self.running,
                on_demand: &self.on_demand,
                reserved,
                provisioned_sum: provisioned,
                provisioned: (&self.provisioned, provisioned),
            };
            account.enter(&limits).map_err(ThrottleReason::as_str)
        }
    }

    const RESERVED: &str = "ReservedFunctionConcurrentInvocationLimitExceeded";
    const ACCOUNT: &str = "ConcurrentInvocationLimitExceeded";

    #[test]
    fn reserved_functions_have_their_own_and_no_more() {
        let account = Account::new(3);
        account.reserve(2);
        let (busy, other) = (Function::default(), Function::default());
        let first = busy.enter(&account, Some(2), 0).expect("one");
        let _second = busy.enter(&account, Some(2), 0).expect("two");
        assert_eq!(busy.enter(&account, Some(2), 0).expect_err("a limit"), RESERVED);
        let _third = other.enter(&account, None, 0).expect("what is left");
        assert_eq!(other.enter(&account, None, 0).expect_err("a limit"), ACCOUNT);
        drop(first);
        assert!(busy.enter(&account, Some(2), 0).is_ok());
        assert_eq!(busy.enter(&account, Some(0), 0).expect_err("a limit"), RESERVED);
    }

    #[test]
    fn what_is_provisioned_is_kept_and_the_rest_spills_over() {
        let account = Account::new(3);
        account.reserve(2);
        let (ready, other) = (Function::default(), Function::default());
        let _others = other.enter(&account, None, 0).expect("what is left");
        let _slots =
            [ready.enter(&account, None, 2).expect("one"), ready.enter(&account, None, 2).expect("two")];
        assert_eq!(ready.enter(&account, None, 2).expect_err("nothing to spill over to"), ACCOUNT);
        assert_eq!(ready.running.running(), 2);
    }

    #[test]
    fn what_is_provisioned_is_part_of_the_reservation() {
        let account = Account::new(10);
        account.reserve(3);
        let function = Function::default();
        let _slots: Vec<_> = (0..3).map(|_| function.enter(&account, Some(3), 2).expect("three")).collect();
        assert_eq!(function.enter(&account, Some(3), 2).expect_err("a limit"), RESERVED);
    }
}
