//! Where the time of a cold start goes: named stages, one after the other, from the invocation that finds no instance to
//! its answer. Kept for the last start of each function; `dory trace-cold-start` and the benches read them.

use std::time::{Duration, Instant};

/// One stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// What was done, in a few words.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// A clock with one hand: each mark ends a stage.
#[derive(Debug, Clone)]
pub struct Stopwatch {
    last: Instant,
    stages: Vec<Stage>,
}

impl Stopwatch {
    /// Starts at this moment.
    pub fn since(start: Instant) -> Stopwatch {
        Stopwatch { last: start, stages: Vec::new() }
    }

    /// What has passed since the last mark was this.
    pub fn mark(&mut self, name: &'static str) {
        let now = Instant::now();
        self.stages.push(Stage { name, took: now - self.last });
        self.last = now;
    }

    /// What has passed since the last mark was these, in this order, and `rest` what they leave over.
    pub fn mark_parts(&mut self, parts: Vec<(&'static str, Duration)>, rest: &'static str) {
        let known: Duration = parts.iter().map(|(_, took)| *took).sum();
        self.stages.extend(parts.into_iter().map(|(name, took)| Stage { name, took }));
        let now = Instant::now();
        self.stages.push(Stage { name: rest, took: (now - self.last).saturating_sub(known) });
        self.last = now;
    }

    pub(crate) fn stages(self) -> Vec<Stage> {
        self.stages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_each_other_and_cover_all() {
        let start = Instant::now() - Duration::from_millis(30);
        let mut watch = Stopwatch::since(start);
        watch.mark("first");
        watch.mark_parts(vec![("inner", Duration::ZERO)], "rest");
        let stages = watch.stages();
        assert_eq!(stages.iter().map(|stage| stage.name).collect::<Vec<_>>(), ["first", "inner", "rest"]);
        let sum: Duration = stages.iter().map(|stage| stage.took).sum();
        assert!(sum >= Duration::from_millis(30) && sum <= start.elapsed());
    }
}
