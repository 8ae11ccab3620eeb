//! Answers on their way to a caller who reads them while the function still writes. A slow reader slows the function down;
//! one that goes away does not stop it.

use crate::instance::Reply;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The most that one answer may stream: AWS's limit, 200 MiB.
pub const STREAM_BYTES_MAX: usize = 200 * 1024 * 1024;

/// What passes a brake at once, as on AWS: 6 MiB.
const UNBRAKED_BYTES: usize = 6 * 1024 * 1024;

/// What passes it afterwards in a second, as on AWS: 2 MiB.
const BRAKED_BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;

/// Pieces between the runtime and a slow reader. Each is what one read of a socket brought, some 400 KB at most.
const CHUNKS_MAX: usize = 2;

/// Where the pieces of an answer go, held back where that is wished.
pub(crate) struct Pieces {
    sender: mpsc::Sender<Bytes>,
    brake: Option<Brake>,
}

impl Pieces {
    /// What is sent comes out at the receiver.
    pub(crate) fn channel(braked: bool) -> (Pieces, mpsc::Receiver<Bytes>) {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        (Pieces { sender, brake: braked.then(Brake::default) }, chunks)
    }

    /// As fast as the reader takes them, and the brake allows. A reader that has gone away holds nothing up.
    pub(crate) async fn send(&mut self, piece: Bytes) {
        if let Some(brake) = &mut self.brake
            && !self.sender.is_closed()
        {
            let wait = brake.pass(piece.len(), Instant::now());
            tokio::time::sleep(wait).await;
        }
        drop(self.sender.send(piece).await);
    }
}

/// Holds back what comes after the first [`UNBRAKED_BYTES`] of an answer.
#[derive(Default)]
struct Brake {
    passed: usize,
    /// When the brake took hold.
    since: Option<Instant>,
}

impl Brake {
    /// How long these bytes must wait.
    fn pass(&mut self, bytes: usize, now: Instant) -> Duration {
        self.passed += bytes;
        let braked = self.passed.saturating_sub(UNBRAKED_BYTES);
        if braked == 0 {
            return Duration::ZERO;
        }
        let due =
            *self.since.get_or_insert(now) + Duration::from_secs_f64(braked as f64 / BRAKED_BYTES_PER_SECOND);
        due.saturating_duration_since(now)
    }
}

/// The beginning of an answer, as the instance hands it to whoever waits.
pub enum Opened {
    /// It came at once.
    Whole(Reply),
    /// Its pieces follow, then its end.
    Pieces {
        /// What the runtime says the whole is.
        content_type: Option<String>,
        /// The pieces.
        chunks: mpsc::Receiver<Bytes>,
        /// How it ended, once they have all come.
        end: oneshot::Receiver<Reply>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brake_takes_hold_after_six_mebibytes() {
        let (mut brake, began) = (Brake::default(), Instant::now());
        assert_eq!(brake.pass(UNBRAKED_BYTES, began), Duration::ZERO);
        assert_eq!(brake.pass(1024 * 1024, began), Duration::from_millis(500));
        assert_eq!(brake.pass(1024 * 1024, began + Duration::from_millis(500)), Duration::from_millis(500));
        // Who was slow himself waits for nothing.
        assert_eq!(brake.pass(1024 * 1024, began + Duration::from_secs(9)), Duration::ZERO);
    }
}
