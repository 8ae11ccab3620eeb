//! Who speaks for an instance: its program, over the Runtime API, or the platform, for a web server that knows nothing of
//! it. Whoever asks for an event first has decided it.

use super::{Instance, Refusal, Work};
use std::sync::Arc;

/// Who asks for the events of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// The program itself.
    Runtime,
    /// The platform.
    Server,
}

impl Instance {
    /// The program asks for an event over the Runtime API.
    pub(crate) async fn next_of_runtime(self: &Arc<Self>) -> Result<Work, Refusal> {
        self.speak(Voice::Runtime)?;
        self.next().await
    }

    /// Speaks for the instance from now on; refused when another does already.
    pub(crate) fn speak(&self, voice: Voice) -> Result<(), Refusal> {
        match *self.voice.get_or_init(|| voice) == voice {
            true => Ok(()),
            false => Err(Refusal::State),
        }
    }

    /// Who speaks for it, if that is known.
    pub(crate) fn voice(&self) -> Option<Voice> {
        self.voice.get().copied()
    }

    /// Writes a line of the platform into the function's log.
    pub(crate) fn note(&self, line: &str) {
        self.journal.note(&[line.to_owned()]);
    }
}
