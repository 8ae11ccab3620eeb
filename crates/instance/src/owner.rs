//! Who owns an instance, as the instance sees it: a pool of the room above.

use crate::instance::Instance;
use crate::stages::Stage;
use std::sync::Arc;

/// Hears of an instance what happens to it. Nothing here may wait, and an owner that has gone away is owed nothing.
pub trait Owner: Send + Sync + 'static {
    /// It exists now. Said once, before anything else.
    fn admit(&self, instance: &Arc<Instance>);
    /// It asks for an event. `first` ends its start.
    fn offer(self: Arc<Self>, instance: Arc<Instance>, first: bool);
    /// It has answered, and will ask for its next event soon.
    fn note_finished(&self, id: &str);
    /// Its first invocation was answered: this is how the time was spent.
    fn note_cold_start(&self, stages: Vec<Stage>);
    /// It has been idle for long: takes it out for good. False when it is not idle after all.
    fn withdraw(&self, id: &str) -> bool;
    /// It has ended, whatever it was doing.
    fn gone(self: Arc<Self>, id: &str);
}
