//! What becomes of an event after a try: Lambda's rules ("Error handling for asynchronous invocations", developer
//! guide). Pure.

use crate::definition::EventInvoke;
use std::time::Duration;

/// When events are tried again.
#[derive(Debug, Clone)]
pub struct Retries {
    /// After the function has failed the first and the second time.
    pub failed: [Duration; 2],
    /// After it was throttled or could not be started the first time; twice as long each time after that,
    pub refused_first: Duration,
    /// but no longer than this.
    pub refused_max: Duration,
}

impl Default for Retries {
    /// As on AWS.
    fn default() -> Retries {
        Retries {
            failed: [Duration::from_secs(60), Duration::from_secs(120)],
            refused_first: Duration::from_secs(1),
            refused_max: Duration::from_secs(300),
        }
    }
}

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Try {
    /// The function answered.
    Answered,
    /// The function ran and failed.
    Failed,
    /// It did not run: throttled, or the machine could not start it.
    Refused,
    /// It calls itself round and round, and is not called again.
    Loop,
}

/// Why no more is tried; the `condition` of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
    ZeroReservedConcurrency,
}

impl Condition {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Condition::Success => "Success",
            Condition::RetriesExhausted => "RetriesExhausted",
            Condition::EventAgeExceeded => "EventAgeExceeded",
            Condition::ZeroReservedConcurrency => "ZeroReservedConcurrency",
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is over, well or not.
    End(Condition),
    /// The function may run again after a while, and that it failed is written down.
    Again(Duration),
    /// The same, but nothing has happened that would have to be written down.
    Wait(Duration),
}

/// Whether an event is tried at all.
pub(super) fn plan_try(settings: &EventInvoke, reserved: Option<u32>, age: Duration) -> Option<Condition> {
    match reserved {
        Some(0) => Some(Condition::ZeroReservedConcurrency),
        _ if age > settings.max_age => Some(Condition::EventAgeExceeded),
        _ => None,
    }
}

/// What follows a try: `runs` with this one, `refusals` before this one.
pub(super) fn plan_next(
    tried: Try,
    runs: u32,
    refusals: u32,
    age: Duration,
    settings: &EventInvoke,
    retries: &Retries,
) -> Step {
    // When it is too old it is looked at once more, and ends.
    let left = settings.max_age.saturating_sub(age) + Duration::from_millis(1);
    match tried {
        Try::Answered => Step::End(Condition::Success),
        Try::Loop => Step::End(Condition::RetriesExhausted),
        Try::Failed if runs > settings.max_retries => Step::End(Condition::RetriesExhausted),
        Try::Failed => {
            let wait = retries.failed[(runs as usize).saturating_sub(1).min(1)];
            Step::Again(wait.min(left))
        }
        Try::Refused => Step::Wait(backoff(refusals, retries).min(left)),
    }
}

/// Twice as long each time.
pub(super) fn backoff(before: u32, retries: &Retries) -> Duration {
    retries.refused_first.saturating_mul(1 << before.min(16)).min(retries.refused_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: EventInvoke = EventInvoke {
        max_retries: 2,
        max_age: Duration::from_secs(6 * 3600),
        on_success: None,
        on_failure: None,
    };

    fn next(tried: Try, runs: u32, refusals: u32, age_s: u64) -> Step {
        plan_next(tried, runs, refusals, Duration::from_secs(age_s), &SETTINGS, &Retries::default())
    }

    #[test]
    fn errors_are_retried_after_one_minute_and_then_two() {
        assert_eq!(next(Try::Answered, 1, 0, 0), Step::End(Condition::Success));
        assert_eq!(next(Try::Failed, 1, 0, 0), Step::Again(Duration::from_secs(60)));
        assert_eq!(next(Try::Failed, 2, 0, 60), Step::Again(Duration::from_secs(120)));
        assert_eq!(next(Try::Failed, 3, 0, 180), Step::End(Condition::RetriesExhausted));
        assert_eq!(next(Try::Loop, 0, 0, 0), Step::End(Condition::RetriesExhausted));
        let once = EventInvoke { max_retries: 0, ..SETTINGS };
        let step = plan_next(Try::Failed, 1, 0, Duration::ZERO, &once, &Retries::default());
        assert_eq!(step, Step::End(Condition::RetriesExhausted));
    }

    #[test]
    fn what_did_not_run_is_retried_ever_more_seldom() {
        let waits: Vec<Step> = (0..10).map(|refusals| next(Try::Refused, 0, refusals, 0)).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300];
        assert_eq!(waits, seconds.map(|s| Step::Wait(Duration::from_secs(s))));
        assert_eq!(next(Try::Refused, 0, 99, 0), Step::Wait(Duration::from_secs(300)));
    }

    #[test]
    fn nothing_waits_longer_than_it_may_live() {
        let left = Duration::from_secs(10) + Duration::from_millis(1);
        assert_eq!(next(Try::Failed, 1, 0, 6 * 3600 - 10), Step::Again(left));
        assert_eq!(next(Try::Refused, 0, 9, 6 * 3600 - 10), Step::Wait(left));
        let at = |age| plan_try(&SETTINGS, None, Duration::from_secs(age));
        assert_eq!(at(6 * 3600), None);
        assert_eq!(at(6 * 3600 + 1), Some(Condition::EventAgeExceeded));
        let zero = plan_try(&SETTINGS, Some(0), Duration::ZERO);
        assert_eq!(zero, Some(Condition::ZeroReservedConcurrency));
        assert_eq!(plan_try(&SETTINGS, Some(1), Duration::ZERO), None);
    }
}
