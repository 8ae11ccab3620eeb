//! What the meter hears of invocations: who was called, what it took, how many ran at once. Nothing here waits or
//! touches the disk.

use crate::Functions;
use crate::catalog::Function;
use crate::concurrency::{Account, Slot};
use crate::machine::Machine;
use instance::Metered;
use jiff::Timestamp;
use meter::{Invoked, Meter};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// The meter.
pub(crate) struct Metering {
    pub(crate) meter: Arc<Meter>,
}

impl Metering {
    pub(crate) fn new(meter: Arc<Meter>) -> Metering {
        Metering { meter }
    }
}

/// Who is invoked. Most calls have no qualifier, and share what is made at the first.
fn invoked(function: &Function, qualifier: Option<&str>) -> Arc<Invoked> {
    let definition = &function.definition;
    let made = |qualifier| {
        Arc::new(Invoked::new(&definition.namespace, &definition.name, qualifier, &definition.version))
    };
    match qualifier {
        None => function.pool.invoked.get_or_init(|| made(None)).clone(),
        qualifier => made(qualifier),
    }
}

impl Machine {
    /// An invocation may run.
    pub(crate) fn entered(
        &self,
        function: &Function,
        qualifier: Option<&str>,
        slot: &Slot,
        account: &Account,
    ) {
        let running = meter::Running {
            function: function.usage.running(),
            all: account.running(),
            unreserved: account.unreserved(),
            claimed: account.claimed(),
            provisioned: slot.provisioned,
        };
        self.metering.meter.entered(&invoked(function, qualifier), running, Timestamp::now());
    }

    /// It has run.
    pub(crate) fn ran(&self, function: &Function, qualifier: Option<&str>, run: meter::Run) {
        self.metering.meter.ran(&invoked(function, qualifier), run, Timestamp::now());
    }

    /// It has run, or runs on after its answer: then it keeps its place until it is over, in a task of its own.
    pub(crate) fn meter<T: Send + 'static>(
        self: &Arc<Self>,
        function: &Function,
        qualifier: Option<String>,
        run: Metered,
        place: T,
    ) {
        match run {
            Metered::Now(run) => self.ran(function, qualifier.as_deref(), run),
            Metered::Later(run) => {
                let (machine, function) = (self.clone(), function.clone());
                tokio::spawn(async move {
                    if let Ok(run) = run.await {
                        machine.ran(&function, qualifier.as_deref(), run);
                    }
                    drop(place);
                });
            }
        }
    }

    /// It was refused.
    pub(crate) fn throttled(&self, function: &Function, qualifier: Option<&str>) {
        self.metering.meter.throttled(&invoked(function, qualifier), Timestamp::now());
    }
}

/// What a function does now, all its versions together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionNow {
    /// Of its object.
    pub namespace: String,
    /// As AWS clients know it.
    pub function: String,
    /// Instances that live.
    pub instances: usize,
    /// Those of them that wait for an event.
    pub idle: usize,
    /// CPU time that the living ones have used, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory that they hold.
    pub memory_bytes: u64,
    /// Invocations since it is metered.
    pub invocations: u64,
}

impl Functions {
    /// What the functions that have instances or ever ran do now. Reads control groups.
    pub async fn now(&self) -> Vec<FunctionNow> {
        let (pools, machine) = (self.pools(), self.machine.clone());
        let read = move || {
            let mut all: BTreeMap<(String, String), FunctionNow> = BTreeMap::new();
            let mut of = |namespace: &str, function: &str, change: &dyn Fn(&mut FunctionNow)| {
                let now =
                    all.entry((namespace.to_owned(), function.to_owned())).or_insert_with(|| FunctionNow {
                        namespace: namespace.to_owned(),
                        function: function.to_owned(),
                        ..FunctionNow::default()
                    });
                change(now);
            };
            for pool in &pools {
                let usage: Vec<sandbox::Usage> = pool.instances().iter().map(|one| one.usage()).collect();
                of(&pool.definition.namespace, &pool.definition.name, &|now| {
                    now.instances += usage.len();
                    now.idle += pool.idle();
                    now.cpu_nanos += usage.iter().map(|one| one.cpu_nanos).sum::<u64>();
                    now.memory_bytes += usage.iter().map(|one| one.memory_working_set_bytes).sum::<u64>();
                });
            }
            let usage = machine.metering.meter.usage(Timestamp::now());
            // A function that is gone does nothing any more.
            for one in usage.functions.iter().filter(|one| one.invocations > 0) {
                let known = pools.iter().map(|pool| &pool.definition);
                if known.clone().any(|known| known.namespace == one.namespace && known.name == one.function) {
                    of(&one.namespace, &one.function, &|now| now.invocations += one.invocations);
                }
            }
            all.into_values().collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    /// Appends counters and gauges of functions in the Prometheus text format.
    pub fn write_metrics(&self, text: &mut String) {
        let metering = &self.machine.metering;
        metering.meter.write(text);
        self.write_event_metrics(text);
        let (limit, unreserved) = self.concurrency();
        let account = &self.account;
        let rows = [
            ("concurrent_executions", "Invocations in flight.", account.running()),
            (
                "unreserved_concurrent_executions",
                "Invocations in flight on what functions share.",
                account.unreserved(),
            ),
            ("claimed_concurrency", "Those, and what is reserved or provisioned.", account.claimed()),
            ("concurrency_limit", "Invocations that may be in flight.", limit),
            ("unreserved_concurrency_limit", "Those of them that no function has reserved.", unreserved),
        ];
        for (name, help, value) in rows {
            // Writing to a String cannot fail.
            let name = format!("dory_function_{name}");
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
    }
}
