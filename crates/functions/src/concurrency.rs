//! How many invocations may run at the same time, and how many may come a second: a function's reserved concurrency is its
//! own and its limit; all other functions share what the account has left. What is provisioned for a version is a part that
//! is kept for it. Counted in memory; every count is given back when its invocation ends.

use crate::pace::{Bucket, REQUESTS_PER_UNIT};
use crate::throttle::{Throttle, ThrottleReason};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// With nothing reserved nothing runs until somebody changes that: there is no use in asking often.
const NOTHING_RESERVED: Duration = Duration::from_secs(60);

/// What of one limit is in use.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    running: AtomicU32,
    requests: Bucket,
    /// How long its invocations took lately, in microseconds: the older ones count ever less.
    mean_us: AtomicU64,
}

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
    /// Whether requests are counted by the second: ten for each unit of concurrency.
    paced: bool,
    reserved: AtomicU32,
    all: Usage,
    unreserved: Usage,
}

/// One counted invocation.
#[derive(Debug)]
pub(crate) struct Slot {
    account: Arc<Account>,
    running: Arc<Usage>,
    /// The function's share on demand, or the version's provisioned one.
    share: Arc<Usage>,
    unreserved: bool,
    /// `None` when it was refused after all.
    entered: Option<Instant>,
    /// Whether it has to do with what is provisioned.
    pub(crate) provisioned: meter::Provisioned,
}

impl Usage {
    /// Counts one more, unless that would be more than `limit`; gives how many there are now.
    fn enter(&self, limit: u32) -> Option<u32> {
        let more = |used| (used < limit).then_some(used + 1);
        self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|before| before + 1)
    }

    /// Invocations in flight.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Acquire)
    }

    fn leave(&self, took: Option<Duration>) {
        self.running.fetch_sub(1, Ordering::AcqRel);
        let Some(took) = took else { return };
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 16);
        let mean = self.mean_us.load(Ordering::Relaxed);
        // Two that end at once may count as one: it is an estimate.
        self.mean_us.store(if mean == 0 { took } else { (mean * 7 + took) / 8 }, Ordering::Relaxed);
    }

    /// When one of those that run is likely to have ended.
    fn free_in(&self) -> Duration {
        let mean = Duration::from_micros(self.mean_us.load(Ordering::Relaxed));
        mean / self.running().max(1)
    }

    /// One more request of those that `units` of concurrency are worth a second.
    fn request(&self, units: u32) -> Result<(), Duration> {
        self.requests.take(units.saturating_mul(REQUESTS_PER_UNIT), Duration::from_secs(1), Instant::now())
    }
}

impl Account {
    /// `paced` says whether requests are counted by the second.
    pub(crate) fn new(limit: u32, paced: bool) -> Arc<Account> {
        let (all, unreserved) = (Usage::default(), Usage::default());
        Arc::new(Account { limit, paced, reserved: AtomicU32::new(0), all, unreserved })
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

    /// Invocations in flight, over all functions.
    pub(crate) fn running(&self) -> u32 {
        self.all.running()
    }

    /// Those of them that have neither a reservation nor anything provisioned to run on.
    pub(crate) fn unreserved(&self) -> u32 {
        self.unreserved.running()
    }

    /// What is taken or set aside: `ClaimedAccountConcurrency`.
    pub(crate) fn claimed(&self) -> u32 {
        self.unreserved().saturating_add(self.reserved.load(Ordering::Acquire))
    }

    /// Counts an invocation of a function, or says which limit is in the way. What is provisioned is used first. Events
    /// that the platform itself hands in are not counted by the second (`caller`), as on Lambda.
    pub(crate) fn enter(self: &Arc<Self>, limits: &Limits<'_>, caller: bool) -> Result<Slot, Throttle> {
        let paced = self.paced && caller;
        let (provisioned, allocated) = limits.provisioned;
        if allocated > 0
            && let Some(running) = provisioned.enter(allocated)
        {
            let kind = meter::Provisioned::Used { running, allocated };
            let slot = self.slot(limits, provisioned, false, kind);
            // More than that spills over.
            if !paced {
                return Ok(slot);
            }
            if let Ok(slot) = slot.request(provisioned, allocated) {
                return Ok(slot);
            }
        }
        let kind = if allocated > 0 { meter::Provisioned::Spilled } else { meter::Provisioned::Not };
        if let Some(reserved) = limits.reserved {
            // What is provisioned is part of the reservation, and kept for those versions.
            let left = reserved.saturating_sub(limits.provisioned_sum);
            if limits.on_demand.enter(left).is_none() {
                let wait = if left == 0 { NOTHING_RESERVED } else { limits.on_demand.free_in() };
                let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
                return Err(Throttle::new(reason, wait));
            }
            let slot = self.slot(limits, limits.on_demand, false, kind);
            return match paced {
                true => slot.request(limits.on_demand, left),
                false => Ok(slot),
            };
        }
        if self.unreserved.enter(self.unreserved_limit()).is_none() {
            let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
            return Err(Throttle::new(reason, self.unreserved.free_in()));
        }
        limits.on_demand.enter(u32::MAX);
        let slot = self.slot(limits, limits.on_demand, true, kind);
        match paced {
            true => slot.request(&self.unreserved, self.limit),
            false => Ok(slot),
        }
    }

    fn slot(
        self: &Arc<Self>,
        limits: &Limits<'_>,
        share: &Arc<Usage>,
        unreserved: bool,
        provisioned: meter::Provisioned,
    ) -> Slot {
        limits.running.enter(u32::MAX);
        self.all.enter(u32::MAX);
        let (running, share) = (limits.running.clone(), share.clone());
        Slot { account: self.clone(), running, share, unreserved, entered: Some(Instant::now()), provisioned }
    }
}

impl Slot {
    /// Stays if this is one more of the requests that `units` of concurrency are worth a second.
    fn request(mut self, usage: &Usage, units: u32) -> Result<Slot, Throttle> {
        let Err(wait) = usage.request(units) else { return Ok(self) };
        self.entered = None;
        let reason = match self.unreserved {
            true => ThrottleReason::FunctionInvocationRateLimitExceeded,
            false => ThrottleReason::ReservedFunctionInvocationRateLimitExceeded,
        };
        Err(Throttle::new(reason, wait))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let took = self.entered.map(|entered| entered.elapsed());
        self.running.leave(took);
        self.share.leave(took);
        self.account.all.leave(took);
        if self.unreserved {
            self.account.unreserved.leave(took);
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
            account.enter(&limits, true).map_err(|throttle| throttle.reason.as_str())
        }
    }

    const RESERVED: &str = "ReservedFunctionConcurrentInvocationLimitExceeded";
    const ACCOUNT: &str = "ConcurrentInvocationLimitExceeded";

    #[test]
    fn reserved_functions_have_their_own_and_no_more() {
        let account = Account::new(3, false);
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
        let account = Account::new(3, false);
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
        let account = Account::new(10, false);
        account.reserve(3);
        let function = Function::default();
        let _slots: Vec<_> = (0..3).map(|_| function.enter(&account, Some(3), 2).expect("three")).collect();
        assert_eq!(function.enter(&account, Some(3), 2).expect_err("a limit"), RESERVED);
    }

    #[test]
    fn each_unit_of_concurrency_is_worth_ten_requests_a_second() {
        let account = Account::new(5, true);
        account.reserve(3);
        let (own, other) = (Function::default(), Function::default());
        let allowed = |function: &Function, reserved, provisioned| {
            (0..99).take_while(|_| function.enter(&account, reserved, provisioned).is_ok()).count()
        };
        // Some refill while this runs.
        assert!((30..35).contains(&allowed(&own, Some(3), 0)));
        let refused = own.enter(&account, Some(3), 0).expect_err("a limit");
        assert_eq!(refused, "ReservedFunctionInvocationRateLimitExceeded");
        assert!((60..66).contains(&allowed(&other, None, 1)), "ten on what is provisioned, fifty beside it");
        assert_eq!(
            other.enter(&account, None, 1).expect_err("a limit"),
            "FunctionInvocationRateLimitExceeded"
        );
        assert_eq!((other.running.running(), account.running(), account.claimed()), (0, 0, 3));
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let account = Account::new(2, false);
        let function = Function::default();
        let limits = |reserved| Limits {
            running: &function.running,
            on_demand: &function.on_demand,
            reserved: Some(reserved),
            provisioned_sum: 0,
            provisioned: (&function.provisioned, 0),
        };
        let wait = |reserved| account.enter(&limits(reserved), true).expect_err("a limit").retry_after_s;
        assert_eq!(wait(0), 60);
        function.on_demand.mean_us.store(9_000_000, Ordering::Relaxed);
        let _both = [account.enter(&limits(2), true), account.enter(&limits(2), true)];
        assert_eq!(wait(2), 5, "two that take nine seconds each");
    }
}
