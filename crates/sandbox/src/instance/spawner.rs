//! dory's handle on the spawner process, and what it says of instances.
use super::End;
use crate::host::{Shared, blocking, make_private};
use crate::link::Link;
use crate::shim::SpawnerFile;
use crate::shims;
use crate::wire::{Answer, InstanceOrder, Message, Request};
use crate::{Error, Exit};
use container::bundle::Process;
use container::mount::Mount;
use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// First id of all instances on this machine: far above what user management hands out. Each dory instance takes its
/// own stretch, so that two of them rarely meet in the same ids.
const IDS_BASE: u32 = 0x4000_0000;

/// Stretches of 2^28 ids (4096 instances of 65,536).
const IDS_STRETCH: u32 = 1 << 28;

type Ends = Arc<Mutex<Waiting>>;

/// Who waits for the ends of instances, and of programs in them.
#[derive(Default)]
struct Waiting {
    instances: HashMap<String, watch::Sender<Option<End>>>,
    programs: HashMap<u64, watch::Sender<Option<Exit>>>,
}

pub(crate) struct Spawner {
    link: Arc<Link>,
    ends: Ends,
    runtime: tokio::runtime::Handle,
}

impl Spawner {
    pub(crate) async fn start(shared: &Arc<Shared>) -> Result<Arc<Spawner>, Error> {
        let dir = shared.run_dir().join("instances");
        // Two owners on one machine land in different stretches more often than not; ids are only the second wall.
        let stretch =
            shared.settings.owner.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte)) % 4;
        let file = SpawnerFile {
            group: shared.instances_group().path().to_string_lossy().into_owned(),
            parked: shared.settings.parked,
            ids_base: IDS_BASE + stretch * IDS_STRETCH,
        };
        let program = shared.settings.program.clone();
        let (child, stream) = blocking(move || {
            make_private(&dir).map_err(Error::io("making the spawner's directory"))?;
            let text = serde_json::to_vec(&file).map_err(|e| Error::io("encoding settings")(e.into()))?;
            std::fs::write(dir.join("instances.json"), text)
                .map_err(Error::io("writing the spawner's settings"))?;
            shims::start(&program, "instances", &dir)
        })
        .await?;
        let link = Link::new(stream).map_err(Error::io("watching the spawner"))?;
        let ends = Ends::default();
        let hearing = ends.clone();
        shims::drive(&link, move |message| hear(&hearing, message)).await?;
        shims::reap(child);
        Ok(Arc::new(Spawner { link, ends, runtime: tokio::runtime::Handle::current() }))
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.link.is_closed()
    }

    fn ends(&self) -> MutexGuard<'_, Waiting> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an instance; gives its process id, its control group's path, and word of its end.
    pub(super) async fn spawn(
        &self,
        order: InstanceOrder,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(u32, String, watch::Receiver<Option<End>>), Error> {
        let id = order.id.clone();
        let (sender, end) = watch::channel(None);
        if self.ends().instances.contains_key(&id) {
            return Err(Error::Exists(id));
        }
        self.ends().instances.insert(id.clone(), sender);
        let outcome = self.link.call(Request::StartInstance(Box::new(order)), fds).await;
        match outcome {
            Some((Ok(Answer::Instance { pid, group }), _)) => Ok((pid, group, end)),
            failed => {
                self.ends().instances.remove(&id);
                Err(match failed {
                    Some((Err(fault), _)) => fault.into(),
                    _ => Error::SpawnerGone,
                })
            }
        }
    }

    /// Starts a program in a held instance; gives its number, and word of its end.
    pub(super) async fn run(
        &self,
        id: &str,
        process: Process,
        output: BorrowedFd<'_>,
    ) -> Result<(u64, watch::Receiver<Option<Exit>>), Error> {
        let run = self.link.reserve();
        let (sender, end) = watch::channel(None);
        self.ends().programs.insert(run, sender);
        let request = Request::RunInInstance { id: id.to_owned(), process: Box::new(process) };
        let outcome = self.link.call_as(run, request, &[output]).await;
        if let Some((Ok(_), _)) = outcome {
            return Ok((run, end));
        }
        self.ends().programs.remove(&run);
        Err(match outcome {
            Some((Err(fault), _)) => fault.into(),
            _ => Error::SpawnerGone,
        })
    }

    /// Sends a signal to the first process of an instance.
    pub(super) async fn signal(&self, id: &str, signal: i32) {
        self.link.call(Request::SignalInstance { id: id.to_owned(), signal }, &[]).await;
    }

    /// Sends a signal to a program.
    pub(super) async fn signal_program(&self, run: u64, signal: i32) {
        self.link.call(Request::SignalProgram { run, signal }, &[]).await;
    }

    /// Mounts something inside a running instance.
    pub(super) async fn mount(&self, id: &str, mounts: Vec<Mount>) -> Result<(), Error> {
        match self.link.call(Request::MountInstance { id: id.to_owned(), mounts }, &[]).await {
            Some((Ok(_), _)) => Ok(()),
            Some((Err(fault), _)) => Err(fault.into()),
            None => Err(Error::SpawnerGone),
        }
    }

    pub(super) async fn kill(&self, id: &str) {
        self.link.call(Request::KillInstance { id: id.to_owned() }, &[]).await;
    }

    /// For `drop`, which cannot wait.
    pub(super) fn kill_later(self: &Arc<Self>, id: &str) {
        let (spawner, id) = (self.clone(), id.to_owned());
        self.runtime.spawn(async move { spawner.kill(&id).await });
    }

    /// Ends all instances and the spawner.
    pub(crate) async fn end(&self) {
        self.link.call(Request::End, &[]).await;
    }
}

fn hear(ends: &Ends, message: Option<Message>) {
    let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
    match message {
        Some(Message::InstanceEnded { id, exit, memory_peak_bytes }) => {
            if let Some(waiting) = ends.instances.remove(&id) {
                waiting.send_replace(Some(End { exit, memory_peak_bytes }));
            }
        }
        Some(Message::ProgramEnded { run, exit }) => {
            if let Some(waiting) = ends.programs.remove(&run) {
                waiting.send_replace(Some(exit));
            }
        }
        Some(_) => {}
        // Dropping the senders tells everybody who waits.
        None => *ends = Waiting::default(),
    }
}
