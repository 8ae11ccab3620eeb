//! The crash-loop back-off of one container: 10 s, doubling to 5 min, forgotten after a run of 10 min. Pure.

use jiff::{SignedDuration, Timestamp};

/// The first wait; upstream's `MaxContainerBackOff` family of constants.
const FIRST: SignedDuration = SignedDuration::from_secs(10);
/// No wait grows beyond this.
const MAX: SignedDuration = SignedDuration::from_mins(5);
/// A run that ends this long after the previous start is not part of a crash loop.
const FORGET_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// How long a container that keeps exiting waits before its next start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    entry: Option<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    delay: SignedDuration,
    noted: Timestamp,
}

impl Backoff {
    /// The wait in force after an exit at `finished`; zero when the container may start at once.
    pub(crate) fn delay(&self, finished: Timestamp) -> SignedDuration {
        match &self.entry {
            Some(entry) if !entry.expired(finished) => entry.delay,
            _ => SignedDuration::ZERO,
        }
    }

    /// When the container may start again after an exit at `finished`.
    pub(crate) fn until(&self, finished: Timestamp) -> Timestamp {
        finished.saturating_add(self.delay(finished)).unwrap_or(finished)
    }

    /// Notes a restart after an exit at `finished`: the next wait is longer.
    pub(crate) fn note(&mut self, finished: Timestamp, now: Timestamp) {
        let delay = match &self.entry {
            Some(entry) if !entry.expired(finished) => (entry.delay * 2).min(MAX),
            _ => FIRST,
        };
        self.entry = Some(Entry { delay, noted: now });
    }
}

impl Entry {
    fn expired(&self, finished: Timestamp) -> bool {
        finished.duration_since(self.noted) > FORGET_AFTER
    }
}

/// A duration as Go prints it in back-off messages: `10s`, `1m20s`, `5m0s`.
pub(crate) fn go_seconds(duration: SignedDuration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    if minutes > 0 { format!("{minutes}m{seconds}s") } else { format!("{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("in range")
    }

    #[test]
    fn doubles_from_ten_seconds_to_five_minutes() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.until(at(0)), at(0), "the first restart is at once");
        let mut waits = Vec::new();
        for _ in 0..7 {
            backoff.note(at(0), at(0));
            waits.push(backoff.delay(at(1)).as_secs());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn forgets_after_a_good_run() {
        let mut backoff = Backoff::default();
        backoff.note(at(0), at(0));
        backoff.note(at(10), at(20));
        assert_eq!(backoff.delay(at(619)).as_secs(), 20);
        assert_eq!(backoff.delay(at(621)).as_secs(), 0);
    }

    #[test]
    fn prints_as_go_does() {
        let texts = [10, 80, 300].map(|seconds| go_seconds(SignedDuration::from_secs(seconds)));
        assert_eq!(texts, ["10s", "1m20s", "5m0s"]);
    }
}
