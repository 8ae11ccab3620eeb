//! One-minute datapoints of metrics, for three hours and more: bounded in number, oldest dropped first. Metrics are
//! named as CloudWatch names them: namespace, name, dimensions.

use crate::stat::Stat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// How long a datapoint is kept, in minutes.
pub const MINUTES_KEPT: i64 = 24 * 60;

/// Datapoints of all metrics together: some 40 MB when every one has a sketch.
const POINTS_MAX: usize = 200_000;

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
            self.points.insert(place, (minute, T::default()));
        }
        (&mut self.points[place].1, new)
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

    pub(crate) fn forget_before(&mut self, minute: i64) -> usize {
        self.metrics.retain(|_, series| {
            series.forget_before(minute);
            !series.points.is_empty()
        });
        self.metrics.values().map(|series| series.points.len()).sum()
    }
}

/// From which minute on datapoints are kept when there are so many: half the usual time when there are too many.
pub(crate) fn horizon(now_minute: i64, points: usize) -> i64 {
    if points > POINTS_MAX { now_minute - MINUTES_KEPT / 8 } else { now_minute - MINUTES_KEPT }
}
