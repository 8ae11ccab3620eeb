//! One-minute datapoints of metrics, for three hours and more: bounded in number, oldest dropped first. Metrics are
//! named as CloudWatch names them: namespace, name, dimensions.

use crate::stat::Stat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// How long a datapoint is kept, in minutes.
pub const MINUTES_KEPT: i64 = 24 * 60;

/// How far ahead of now clients may put datapoints, in minutes.
pub(crate) const MINUTES_AHEAD: i64 = 120;

/// Datapoints of all metrics together: some 50 MB. One of a function takes 300 bytes and with a series of its own, as a
/// function that is called once leaves it, 600.
pub(crate) const POINTS_MAX: usize = 100_000;

/// Different metrics that clients may put; without a bound a client could fill the memory with names.
const METRICS_MAX: usize = 10_000;

/// The unit of a metric, as CloudWatch spells it.
pub type Unit = String;

/// The name of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Metric {
    /// Such as `AWS/Lambda`.
    pub namespace: String,
    /// Such as `Duration`.
    pub name: String,
    /// Sorted by name.
    pub dimensions: BTreeMap<String, String>,
}

/// Datapoints by the minute since 1970, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Series<T> {
    pub(crate) unit: Unit,
    pub(crate) points: VecDeque<(i64, T)>,
}

impl<T: Default> Series<T> {
    /// The datapoint of a minute, made when there is none; says whether it is new. Late values find their minute.
    pub(crate) fn at(&mut self, minute: i64) -> (&mut T, bool) {
        let place = self.points.partition_point(|(at, _)| *at < minute);
        let new = self.points.get(place).is_none_or(|(at, _)| *at != minute);
        if new {
            if self.points.is_empty() {
                // Many series never have a second one: the usual first step makes room for four.
                self.points.reserve_exact(1);
            }
            self.points.insert(place, (minute, T::default()));
        }
        (&mut self.points[place].1, new)
    }

    pub(crate) fn minutes(&self) -> impl Iterator<Item = i64> + Clone {
        self.points.iter().map(|(minute, _)| *minute)
    }

    pub(crate) fn forget_before(&mut self, minute: i64) {
        while self.points.front().is_some_and(|(at, _)| *at < minute) {
            self.points.pop_front();
        }
    }
}

/// Metrics that were put value by value.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) metrics: HashMap<Metric, Series<Stat>>,
}

/// Why a value was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// There are as many metrics as this platform keeps.
    #[error("this platform keeps {METRICS_MAX} metrics, and no more; put values of those that exist")]
    TooMany,
    /// Older than what is kept, or in the future.
    #[error("a timestamp must be within the last {} hours and not more than two hours ahead", MINUTES_KEPT / 60)]
    Time,
}

impl History {
    /// Adds values of a minute.
    pub(crate) fn put(
        &mut self,
        metric: Metric,
        unit: &str,
        minute: i64,
        values: &Stat,
    ) -> Result<bool, PutError> {
        if !self.metrics.contains_key(&metric) && self.metrics.len() >= METRICS_MAX {
            return Err(PutError::TooMany);
        }
        let series = self.metrics.entry(metric).or_default();
        if series.unit != unit {
            unit.clone_into(&mut series.unit);
        }
        let (point, new) = series.at(minute);
        point.merge(values);
        Ok(new)
    }

    pub(crate) fn minutes(&self) -> impl Iterator<Item = i64> + Clone {
        self.metrics.values().flat_map(Series::minutes)
    }

    pub(crate) fn forget_before(&mut self, minute: i64) -> usize {
        self.metrics.retain(|_, series| {
            series.forget_before(minute);
            !series.points.is_empty()
        });
        self.metrics.values().map(|series| series.points.len()).sum()
    }
}

/// From which minute on datapoints are kept, if these are the minutes of all that there are: for the usual time, or when
/// they are too many, for as long as leaves seven eighths of the most.
pub(crate) fn horizon(now_minute: i64, minutes: impl Iterator<Item = i64> + Clone) -> i64 {
    let oldest = now_minute - MINUTES_KEPT;
    if minutes.clone().count() <= POINTS_MAX {
        return oldest;
    }
    // By age, from the newest that there may be.
    let newest = now_minute + MINUTES_AHEAD;
    let mut by_age = vec![0; usize::try_from(newest - oldest + 1).unwrap_or(0)];
    for minute in minutes {
        if let Some(count) = usize::try_from(newest - minute).ok().and_then(|age| by_age.get_mut(age)) {
            *count += 1;
        }
    }
    let mut room = POINTS_MAX - POINTS_MAX / 8;
    let fits = by_age.iter().take_while(|count| {
        let fits = **count <= room;
        room = room.saturating_sub(**count);
        fits
    });
    newest + 1 - i64::try_from(fits.count()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_datapoint_takes_the_room_of_one() {
        let mut series: Series<Stat> = Series::default();
        series.at(7).0.add(3.0, 1.0);
        assert_eq!(series.points.capacity(), 1);
        series.at(6);
        series.at(8);
        assert_eq!(series.minutes().collect::<Vec<_>>(), [6, 7, 8]);
    }

    #[test]
    fn the_newest_minutes_are_kept_when_there_are_too_many() {
        let minutes = |each: usize| (0..100).flat_map(move |minute| std::iter::repeat_n(minute, each));
        assert_eq!(horizon(99, minutes(POINTS_MAX / 100)), 99 - MINUTES_KEPT);
        // Seven eighths of the most, in whole minutes; of twice as many that is less than half of the minutes.
        let half = horizon(99, minutes(POINTS_MAX / 50));
        assert_eq!(half, 100 - 50 * 7 / 8);
        assert_eq!(horizon(20, minutes(POINTS_MAX / 50)), half, "those ahead count too");
        assert_eq!(horizon(99 + MINUTES_KEPT, minutes(POINTS_MAX / 50)), 99, "and old ones do not");
        assert_eq!(horizon(99, minutes(POINTS_MAX)), 100, "one minute may be too much already");
    }
}
