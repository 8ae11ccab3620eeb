//! How fast things may come: a bucket that leaks at an even pace. What is not used is not saved up beyond the bucket.
//! Lambda's two rules of this kind ("Lambda function scaling" and "Lambda quotas", developer guide) are here: how fast a
//! function may grow, and how many requests a second its concurrency is worth.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Over how long a function may grow by its limit; refilled continuously.
const GROWTH_PERIOD: Duration = Duration::from_secs(10);

/// Requests that each unit of concurrency is worth, a second.
pub(crate) const REQUESTS_PER_UNIT: u32 = 10;

/// How full the bucket was, and when.
#[derive(Debug, Default)]
pub(crate) struct Bucket(Mutex<Option<(f64, Instant)>>);

impl Bucket {
    /// Takes one in, of `size` that fit and that leak out in `period`; else says how long it takes until one fits.
    pub(crate) fn take(&self, size: u32, period: Duration, now: Instant) -> Result<(), Duration> {
        let size = f64::from(size);
        if size < 1.0 {
            return Err(Duration::MAX);
        }
        let per_second = size / period.as_secs_f64();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, at) = state.unwrap_or((0.0, now));
        let leaked = now.saturating_duration_since(at).as_secs_f64() * per_second;
        let level = (level - leaked).max(0.0);
        // What leaks in no time at all is lost in rounding: a bucket is not refused for a billionth.
        if level + 1.0 > size + 1e-9 {
            *state = Some((level, now));
            return Err(Duration::from_secs_f64((level + 1.0 - size) / per_second));
        }
        *state = Some((level + 1.0, now));
        Ok(())
    }

    /// One that was taken in vain is taken out again.
    pub(crate) fn give_back(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((level, _)) = &mut *state {
            *level = (*level - 1.0).max(0.0);
        }
    }
}

/// How fast one function may grow, over all its versions.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// New instances in ten seconds; as many as the machine can start without a limit.
    limit: Option<u32>,
    bucket: Bucket,
}

impl Growth {
    pub(crate) fn new(limit: Option<u32>) -> Growth {
        Growth { limit, bucket: Bucket::default() }
    }

    /// One more instance; else how long it takes until there may be one.
    pub(crate) fn start(&self, now: Instant) -> Result<(), Duration> {
        self.limit.map_or(Ok(()), |limit| self.bucket.take(limit, GROWTH_PERIOD, now))
    }

    /// It was not started after all.
    pub(crate) fn not_started(&self) {
        if self.limit.is_some() {
            self.bucket.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_refilled_evenly_and_not_saved_up() {
        let growth = Growth::new(Some(20));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!((0..20).filter(|_| growth.start(at(0)).is_ok()).count(), 20);
        assert_eq!(growth.start(at(0)), Err(Duration::from_millis(500)));
        assert_eq!(growth.start(at(400)).map_err(|wait| wait.as_millis()), Err(100));
        assert_eq!(growth.start(at(500)), Ok(()));
        assert!(growth.start(at(501)).is_err());
        growth.not_started();
        assert_eq!(growth.start(at(501)), Ok(()));
        // Half an hour later there are twenty again, and no more.
        assert_eq!((0..99).filter(|_| growth.start(at(1_800_000)).is_ok()).count(), 20);
        assert!((0..9999).all(|_| Growth::new(None).start(start).is_ok()));
    }

    #[test]
    fn nothing_fits_into_no_bucket() {
        assert_eq!(Bucket::default().take(0, Duration::from_secs(1), Instant::now()), Err(Duration::MAX));
    }
}
