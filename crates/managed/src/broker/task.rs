//! Move tasks: dead letters are brought back to where they came from, or to another queue. A task is soft state: one that a
//! crash ends has moved some messages, each of which is in one of the two queues, and is started anew by whoever wants.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::envelope::Envelope;
use super::{Broker, Declared};
use crate::{Message, QueueError};

/// Tasks that are remembered for each queue, as on AWS.
const REMEMBERED: usize = 10;

/// How long a message is hidden while it is moved.
const HIDDEN: Duration = Duration::from_secs(60);

/// How a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveState {
    /// It moves messages.
    Running,
    /// All that were there have been moved.
    Completed,
    /// It is told to stop.
    Cancelling,
    /// It was stopped.
    Cancelled,
    /// It cannot go on, and why.
    Failed(&'static str),
}

/// Why a task was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// No queue sends its dead letters there.
    #[error("the source queue must be configured as a dead-letter queue")]
    NoDeadLetters,
    /// There is one for this queue.
    #[error("there is already a task running")]
    Running,
}

/// One task.
pub struct MoveTask {
    /// What it is called.
    pub id: String,
    /// The dead-letter queue.
    pub source: String,
    /// Where messages go; where they came from, if not said.
    pub destination: Option<String>,
    /// Messages per second at most.
    pub rate: Option<u32>,
    /// Messages that were there at the start.
    pub to_move: u64,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
    moved: AtomicU64,
    cancelled: AtomicBool,
    state: Mutex<MoveState>,
}

impl MoveTask {
    /// Messages that it has moved.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Acquire)
    }

    /// How it stands.
    pub fn state(&self) -> MoveState {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, MoveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_active(&self) -> bool {
        matches!(self.state(), MoveState::Running | MoveState::Cancelling)
    }
}

impl Broker {
    /// Begins to move what is in a dead-letter queue.
    pub fn start_move(
        self: &Arc<Self>,
        source: &Arc<Declared>,
        destination: Option<&str>,
        rate: Option<u32>,
    ) -> Result<Arc<MoveTask>, MoveError> {
        if self.sources_of(source.name()).is_empty() {
            return Err(MoveError::NoDeadLetters);
        }
        let task = Arc::new(MoveTask {
            id: uuid::Uuid::new_v4().to_string(),
            source: source.name().to_owned(),
            destination: destination.map(str::to_owned),
            rate,
            to_move: source.queue().depth().messages,
            started_ms: self.now_ms(),
            moved: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            state: Mutex::new(MoveState::Running),
        });
        {
            let mut tasks = self.tasks();
            if tasks.iter().any(|other| other.source == task.source && other.is_active()) {
                return Err(MoveError::Running);
            }
            tasks.push(task.clone());
            let of_source = tasks.iter().filter(|other| other.source == task.source).count();
            if of_source > REMEMBERED
                && let Some(oldest) = tasks.iter().position(|other| other.source == task.source)
            {
                tasks.remove(oldest);
            }
        }
        let (broker, source, moving) = (self.clone(), source.clone(), task.clone());
        tokio::spawn(async move {
            let ended = broker.run_move(&source, &moving).await;
            *moving.held() = ended;
        });
        Ok(task)
    }

    async fn run_move(self: &Arc<Self>, source: &Arc<Declared>, task: &MoveTask) -> MoveState {
        let pause = task.rate.map(|rate| Duration::from_secs(1) / rate.max(1));
        while task.moved() < task.to_move && !source.is_gone() {
            if task.cancelled.load(Ordering::Acquire) {
                return MoveState::Cancelled;
            }
            let Some(message) = source.queue().receive(HIDDEN).await else { break };
            match self.bring_back(source, task, &message).await {
                Ok(true) => drop(task.moved.fetch_add(1, Ordering::AcqRel)),
                Ok(false) => {}
                Err(why) => {
                    source.queue().release(message.receipt, Duration::ZERO).ok();
                    return MoveState::Failed(why);
                }
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        MoveState::Completed
    }

    /// Moves one message; false if it was deleted meanwhile.
    async fn bring_back(
        &self,
        source: &Arc<Declared>,
        task: &MoveTask,
        message: &Message,
    ) -> Result<bool, &'static str> {
        let envelope = Envelope::read(&message.attributes);
        let name = task.destination.clone().or_else(|| envelope.source.clone());
        let name = name.ok_or("CouldNotDetermineMessageSource")?;
        let target = self.get(&name).ok_or("AWS.SimpleQueueService.NonExistentQueue")?;
        // It is a new message, with an id of its own.
        let id = uuid::Uuid::new_v4().to_string();
        let attributes = Envelope { id, source: None, received: 0, ..envelope }.write();
        match source.queue().hand_over(message, target.queue(), attributes, self.now_ms()).await {
            Ok(()) => Ok(true),
            Err(QueueError::Stale) => Ok(false),
            Err(QueueError::Store(_)) => Err("InternalFailure"),
        }
    }

    /// Stops a task; gives it, if it was running.
    pub fn cancel_move(&self, id: &str) -> Option<Arc<MoveTask>> {
        let task = self.tasks().iter().find(|task| task.id == id).cloned()?;
        let mut state = task.held();
        if *state != MoveState::Running {
            return None;
        }
        *state = MoveState::Cancelling;
        task.cancelled.store(true, Ordering::Release);
        drop(state);
        Some(task)
    }

    /// The last tasks of a queue, newest first.
    pub fn moves_of(&self, source: &str) -> Vec<Arc<MoveTask>> {
        self.tasks().iter().rev().filter(|task| task.source == source).cloned().collect()
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<Arc<MoveTask>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
