//! Thresholds: how many answers in a row change what is known of a container. Pure.

use super::Purpose;

/// The answers of one probe so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tracker {
    success_threshold: u32,
    failure_threshold: u32,
    last: Option<bool>,
    in_a_row: u32,
    known: Option<bool>,
}

impl Tracker {
    pub(crate) fn new(purpose: Purpose, success_threshold: u32, failure_threshold: u32) -> Tracker {
        // A container is taken to live until the contrary is shown; nothing is known of the rest.
        let known = (purpose == Purpose::Liveness).then_some(true);
        Tracker {
            success_threshold: success_threshold.max(1),
            failure_threshold: failure_threshold.max(1),
            last: None,
            in_a_row: 0,
            known,
        }
    }

    /// Takes an answer in; says what is known now if that changed.
    pub(crate) fn observe(&mut self, healthy: bool) -> Option<bool> {
        self.in_a_row = if self.last == Some(healthy) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(healthy);
        let threshold = if healthy { self.success_threshold } else { self.failure_threshold };
        if self.in_a_row < threshold || self.known == Some(healthy) {
            return None;
        }
        self.known = Some(healthy);
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(purpose: Purpose, success: u32, failure: u32, answers: &str) -> String {
        let mut tracker = Tracker::new(purpose, success, failure);
        let letter = |answer: Option<bool>| match answer {
            Some(true) => 'U',
            Some(false) => 'D',
            None => '.',
        };
        answers.chars().map(|answer| letter(tracker.observe(answer == '+'))).collect()
    }

    #[test]
    fn thresholds() {
        assert_eq!(run(Purpose::Readiness, 1, 3, "+--+---+"), "U.....DU");
        assert_eq!(run(Purpose::Readiness, 2, 1, "+-++-"), ".D.UD");
        assert_eq!(run(Purpose::Liveness, 1, 3, "++--+---"), ".......D");
        assert_eq!(run(Purpose::Startup, 1, 30, "---+"), "...U");
    }
}
