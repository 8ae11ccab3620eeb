//! A statistic set: how many values, their sum, the least and the greatest, and a sketch for percentiles. Pure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Each bucket of the sketch is 5 % wider than the one before: a percentile is right to 2.5 %.
const GROWTH: f64 = 1.05;

/// Where all values up to zero (and what is as good as zero) are counted.
const ZERO: i16 = i16::MIN;

/// Values of one metric in one stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// How many values.
    #[serde(rename = "n")]
    pub count: f64,
    /// Their sum.
    #[serde(rename = "s")]
    pub sum: f64,
    /// The least; meaningless while there are none.
    #[serde(rename = "a")]
    pub min: f64,
    /// The greatest; meaningless while there are none.
    #[serde(rename = "z")]
    pub max: f64,
    /// Values by the logarithm of their size. Empty where only the set was given.
    #[serde(rename = "k", default, skip_serializing_if = "Sketch::is_empty")]
    sketch: Sketch,
}

/// How often values fell into each bucket, in the order of the buckets. Most datapoints have one or two, for which a map
/// would take eight times as much. Stored as a map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<i16, f64>", into = "BTreeMap<i16, f64>")]
struct Sketch(Vec<(i16, f64)>);

impl Sketch {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, bucket: i16, times: f64) {
        match self.0.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(place) => self.0[place].1 += times,
            Err(place) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(place, (bucket, times));
            }
        }
    }
}

impl From<BTreeMap<i16, f64>> for Sketch {
    fn from(map: BTreeMap<i16, f64>) -> Sketch {
        Sketch(map.into_iter().collect())
    }
}

impl From<Sketch> for BTreeMap<i16, f64> {
    fn from(sketch: Sketch) -> BTreeMap<i16, f64> {
        sketch.0.into_iter().collect()
    }
}

impl Stat {
    /// A set whose values are not known one by one.
    pub fn of(count: f64, sum: f64, min: f64, max: f64) -> Stat {
        Stat { count, sum, min, max, sketch: Sketch::default() }
    }

    /// Adds a value that occurred `times`; it counts for percentiles.
    pub fn add(&mut self, value: f64, times: f64) {
        self.take_in(value, times);
        self.sketch.add(bucket(value), times);
    }

    /// Adds a value that nobody will ask percentiles of.
    pub fn take_in(&mut self, value: f64, times: f64) {
        self.merge(&Stat::of(times, value * times, value, value));
    }

    /// Takes in another set.
    pub fn merge(&mut self, other: &Stat) {
        if other.count <= 0.0 {
            return;
        }
        let empty = self.count <= 0.0;
        self.min = if empty { other.min } else { self.min.min(other.min) };
        self.max = if empty { other.max } else { self.max.max(other.max) };
        self.count += other.count;
        self.sum += other.sum;
        for (bucket, times) in &other.sketch.0 {
            self.sketch.add(*bucket, *times);
        }
    }

    /// The value of a statistic by its CloudWatch name: `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount`, or `p99.9`.
    /// `None` for what is no statistic, or where there are no single values to take a percentile of.
    pub fn value(&self, statistic: &str) -> Option<f64> {
        match statistic {
            "SampleCount" => Some(self.count),
            "Sum" => Some(self.sum),
            "Minimum" => Some(self.min),
            "Maximum" => Some(self.max),
            "Average" => (self.count > 0.0).then(|| self.sum / self.count),
            other => self.quantile(percentile(other)?),
        }
    }

    fn quantile(&self, share: f64) -> Option<f64> {
        // All values the same, or the last of them: no sketch is needed, so a set that was put whole has percentiles too.
        if self.count > 0.0 && (self.min >= self.max || share >= 1.0) {
            return Some(self.max);
        }
        let all: f64 = self.sketch.0.iter().map(|(_, times)| times).sum();
        if all <= 0.0 {
            return None;
        }
        let mut left = share * all;
        for (bucket, times) in &self.sketch.0 {
            left -= times;
            if left <= 1e-9 {
                return Some(middle(*bucket).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }
}

/// The share that `p99.9` asks for, such as 0.999; `None` when it is no percentile.
pub fn percentile(statistic: &str) -> Option<f64> {
    let digits = statistic.strip_prefix('p')?;
    let share: f64 = digits.parse().ok().filter(|_| digits.starts_with(|c: char| c.is_ascii_digit()))?;
    (0.0..=100.0).contains(&share).then_some(share / 100.0)
}

#[expect(clippy::cast_possible_truncation, reason = "the logarithm of every finite double fits")]
fn bucket(value: f64) -> i16 {
    if value <= 1e-9 { ZERO } else { (value.ln() / GROWTH.ln()).floor() as i16 }
}

fn middle(bucket: i16) -> f64 {
    if bucket == ZERO { 0.0 } else { GROWTH.powf(f64::from(bucket) + 0.5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_values() {
        let mut stat = Stat::default();
        for value in 1..=1000 {
            stat.add(f64::from(value), 1.0);
        }
        assert_eq!(stat.value("SampleCount"), Some(1000.0));
        assert_eq!(stat.value("Sum"), Some(500_500.0));
        assert_eq!(stat.value("Average"), Some(500.5));
        assert_eq!((stat.value("Minimum"), stat.value("Maximum")), (Some(1.0), Some(1000.0)));
        for (name, real) in [("p50", 500.0), ("p90", 900.0), ("p99", 990.0), ("p99.9", 999.0)] {
            let found = stat.value(name).expect("a percentile");
            assert!((found - real).abs() <= real * 0.026, "{name}: {found}");
        }
        assert_eq!(stat.value("p100"), Some(1000.0));
        for wrong in ["p101", "p", "pp", "p-1", "Median", "sum"] {
            assert_eq!(stat.value(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sets_without_values_have_no_percentiles() {
        let mut stat = Stat::of(3.0, 9.0, 1.0, 5.0);
        assert_eq!(stat.value("p50"), None);
        assert_eq!(Stat::of(3.0, 9.0, 3.0, 3.0).value("p50"), Some(3.0));
        stat.merge(&Stat::of(0.0, 0.0, -7.0, 70.0));
        assert_eq!((stat.min, stat.max), (1.0, 5.0));
        stat.take_in(-2.0, 1.0);
        assert_eq!((stat.count, stat.sum, stat.min), (4.0, 7.0, -2.0));
    }
}
