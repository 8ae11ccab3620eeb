//! The most memory that an instance has used, as each REPORT line says it.

use super::Instance;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old the figure of a line may be. To read it takes as long as a hundredth of a short invocation; instances that are called
/// thousands of times a second do not use more memory each time.
const AGE_MAX: Duration = Duration::from_millis(10);

/// The figure that was read last, and when.
#[derive(Default)]
pub(super) struct MemoryPeak(Mutex<Option<(Instant, u64)>>);

impl Instance {
    /// In bytes. Where an invocation failed, memory may be why, and the figure is read anew.
    pub(super) fn memory_peak(&self, failed: bool) -> u64 {
        let mut last = self.memory_peak.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, bytes)) if !failed && at.elapsed() < AGE_MAX => bytes,
            _ => {
                let bytes = self.sandbox.memory_peak_bytes();
                *last = Some((Instant::now(), bytes));
                bytes
            }
        }
    }
}
