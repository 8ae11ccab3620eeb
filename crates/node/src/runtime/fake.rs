//! A machine in memory: containers run, exit and fail as a test says; what was asked of it is written down.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sandbox::{
    ContainerRecord, ContainerSpec, ContainerState, Error, Exec, ExecSpec, PodSpec, StartError,
    StartErrorKind,
};
use tokio::sync::broadcast;

use super::{Image, PodUsage, Ran, Runtime, Sandbox};

/// The machine.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    images: BTreeMap<String, Image>,
    pods: BTreeMap<String, Arc<FakePod>>,
    calls: Vec<String>,
    /// Commands (the first word) that exit at once with a code.
    exits: BTreeMap<String, i32>,
    /// Commands that ignore their stop signal.
    deaf: Vec<String>,
}

impl Fake {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics while holding it")
    }

    pub(crate) fn add_image(&self, name: &str) {
        let image =
            Image { id: format!("sha256:{name}"), entrypoint: vec!["/init".into()], ..Image::default() };
        self.inner().images.insert(name.to_owned(), image);
    }

    /// A command that exits at once.
    pub(crate) fn exits(&self, command: &str, code: i32) {
        self.inner().exits.insert(command.to_owned(), code);
    }

    /// A command that only a kill ends.
    pub(crate) fn deaf(&self, command: &str) {
        self.inner().deaf.push(command.to_owned());
    }

    /// What was asked so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.inner().calls.clone()
    }

    pub(crate) fn pod(&self, id: &str) -> Option<Arc<FakePod>> {
        self.inner().pods.get(id).cloned()
    }
}

impl Runtime for Fake {
    fn image(&self, name: &str) -> Option<Image> {
        self.inner().images.get(name).cloned()
    }

    fn pull(&self, name: &str, _: Vec<sandbox::Credentials>, _: bool) -> BoxFuture<'static, super::Pull> {
        let name = name.to_owned();
        Box::pin(async move { Err(format!("no registry has {name}")) })
    }

    fn start_pod(&self, spec: PodSpec) -> BoxFuture<'static, Result<Arc<dyn Sandbox>, Error>> {
        let fake = self.clone();
        Box::pin(async move {
            let mut inner = fake.inner();
            inner.calls.push(format!("start pod {}", spec.hostname));
            let last = u8::try_from(inner.pods.len() + 2).expect("few pods in a test");
            let pod = Arc::new(FakePod {
                fake: fake.clone(),
                id: spec.id.clone(),
                address: Ipv4Addr::new(10, 42, 0, last),
                records: Mutex::default(),
                events: broadcast::channel(64).0,
                dead: AtomicBool::new(false),
            });
            inner.pods.insert(spec.id, pod.clone());
            Ok(pod as Arc<dyn Sandbox>)
        })
    }

    fn adopt(&self) -> BoxFuture<'static, Result<Vec<Arc<dyn Sandbox>>, Error>> {
        let pods: Vec<_> = self.inner().pods.values().map(|pod| pod.clone() as Arc<dyn Sandbox>).collect();
        Box::pin(async move { Ok(pods) })
    }
}

/// A pod of the machine.
pub(crate) struct FakePod {
    fake: Fake,
    id: String,
    address: Ipv4Addr,
    records: Mutex<BTreeMap<String, (ContainerRecord, String)>>,
    events: broadcast::Sender<ContainerRecord>,
    dead: AtomicBool,
}

impl FakePod {
    /// Lets a running container end.
    pub(crate) fn exit(&self, name: &str, code: i32, oom: bool) {
        let mut records = self.records.lock().expect("no test panics while holding it");
        let Some((record, _)) = records.get_mut(name) else { return };
        if let ContainerState::Running { started_at, .. } = record.state {
            record.state = exited(code, oom, started_at);
            let _ = self.events.send(record.clone());
        }
    }

    /// The supervisor dies, and all containers with it.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        let names: Vec<_> = self.containers().into_iter().map(|record| record.name).collect();
        for name in names {
            self.exit(&name, 137, false);
        }
    }

    fn note(&self, call: String) {
        self.fake.inner().calls.push(call);
    }
}

fn exited(code: i32, oom: bool, started_at: SystemTime) -> ContainerState {
    let signal = (code > 128).then_some(code - 128);
    ContainerState::Exited { code, signal, oom, lost: false, started_at, finished_at: SystemTime::now() }
}

impl Sandbox for FakePod {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn address(&self) -> Option<Ipv4Addr> {
        Some(self.address)
    }

    fn netns(&self) -> Option<std::path::PathBuf> {
        None
    }

    fn is_live(&self) -> bool {
        !self.dead.load(Ordering::SeqCst)
    }

    fn start_container(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<ContainerRecord, Error>> {
        Box::pin(async move {
            let command = spec.argv.first().cloned().unwrap_or_default();
            self.note(format!("start {}#{}: {}", spec.name, spec.attempt, spec.argv.join(" ")));
            if command == "nope" {
                let message = "exec: \"nope\": executable file not found in $PATH".to_owned();
                return Err(StartError { kind: StartErrorKind::NotFound, message }.into());
            }
            let state = ContainerState::Running { pid: 7, started_at: SystemTime::now() };
            let id = format!("{}/{}/{}", self.id, spec.name, spec.attempt);
            let record = ContainerRecord { name: spec.name.clone(), attempt: spec.attempt, id, state };
            let entry = (record.clone(), command.clone());
            self.records.lock().expect("no test panics while holding it").insert(spec.name.clone(), entry);
            let code = self.fake.inner().exits.get(&command).copied();
            if let Some(code) = code {
                self.exit(&spec.name, code, false);
            }
            Ok(record)
        })
    }

    fn stop<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.note(format!("stop {name}"));
            let command =
                self.records.lock().expect("no test panics").get(name).map(|(_, command)| command.clone());
            if !command.is_some_and(|command| self.fake.inner().deaf.contains(&command)) {
                self.exit(name, 0, false);
            }
            Ok(())
        })
    }

    fn kill<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.note(format!("kill {name}"));
            self.exit(name, 137, false);
            Ok(())
        })
    }

    fn containers(&self) -> Vec<ContainerRecord> {
        let records = self.records.lock().expect("no test panics while holding it");
        records.values().map(|(record, _)| record.clone()).collect()
    }

    fn events(&self) -> BoxStream<'static, ContainerRecord> {
        let events = self.events.subscribe();
        futures::stream::unfold(events, |mut events| async move {
            events.recv().await.ok().map(|record| (record, events))
        })
        .boxed()
    }

    fn exec<'a>(&'a self, name: &'a str, _spec: ExecSpec) -> BoxFuture<'a, Result<Exec, Error>> {
        Box::pin(async move { Err(Error::NotRunning(name.to_owned())) })
    }

    fn attach<'a>(&'a self, name: &'a str, _: bool) -> BoxFuture<'a, Result<sandbox::Attach, Error>> {
        Box::pin(async move { Err(Error::NotRunning(name.to_owned())) })
    }

    fn run<'a>(
        &'a self,
        name: &'a str,
        argv: Vec<String>,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Ran, String>> {
        Box::pin(async move {
            self.note(format!("run in {name}: {}", argv.join(" ")));
            let code =
                argv.first().and_then(|command| self.fake.inner().exits.get(command).copied()).unwrap_or(0);
            Ok(Ran { code, output: String::new() })
        })
    }

    fn layers(&self) -> Vec<(String, std::path::PathBuf)> {
        Vec::new()
    }

    fn usage(&self) -> BoxFuture<'_, Result<PodUsage, Error>> {
        Box::pin(async { Ok(Default::default()) })
    }

    fn remove(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.note(format!("remove {}", self.id));
            self.fake.inner().pods.remove(&self.id);
            Ok(())
        })
    }
}
