//! Why an invocation is refused for want of room, and when it makes sense to come again. Holds no behaviour; used by every
//! door that invokes functions.

use std::time::Duration;

/// The longest wait that is named: a run of the longest invocation.
const RETRY_MAX_S: u64 = 900;

/// Which limit was hit; the `Reason` of AWS's `TooManyRequestsException`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the words of AWS's model")]
pub enum ThrottleReason {
    /// The function's own reserved concurrency is in use.
    ReservedFunctionConcurrentInvocationLimitExceeded,
    /// The account's unreserved concurrency is in use, or the function grows faster than it may.
    ConcurrentInvocationLimitExceeded,
    /// More requests per second than ten times the function's reserved concurrency.
    ReservedFunctionInvocationRateLimitExceeded,
    /// More requests per second than ten times the account's concurrency.
    FunctionInvocationRateLimitExceeded,
    /// More events wait than the platform keeps.
    CallerRateLimitExceeded,
}

impl ThrottleReason {
    /// As AWS spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
            ThrottleReason::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            ThrottleReason::ReservedFunctionInvocationRateLimitExceeded => {
                "ReservedFunctionInvocationRateLimitExceeded"
            }
            ThrottleReason::FunctionInvocationRateLimitExceeded => "FunctionInvocationRateLimitExceeded",
            ThrottleReason::CallerRateLimitExceeded => "CallerRateLimitExceeded",
        }
    }
}

/// A refusal for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// The limit.
    pub reason: ThrottleReason,
    /// Whole seconds after which there may be room, at least one: `Retry-After`.
    pub retry_after_s: u64,
}

impl Throttle {
    /// A refusal by this limit, which is likely to last so long.
    pub fn new(reason: ThrottleReason, lasts: Duration) -> Throttle {
        let whole = lasts.as_secs() + u64::from(lasts.subsec_nanos() > 0);
        Throttle { reason, retry_after_s: whole.clamp(1, RETRY_MAX_S) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_seconds() {
        let wait = |ms| {
            let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
            Throttle::new(reason, Duration::from_millis(ms)).retry_after_s
        };
        assert_eq!([0, 1, 1000, 1001, 7_200_000].map(wait), [1, 1, 1, 2, RETRY_MAX_S]);
    }
}
