//! The meter, what callers hold. Counting takes a short lock and touches no disk; one thread writes behind.

use crate::disk;
use crate::history::{self, History, Metric, PutError, Series};
use crate::lambda::{self, Callee, Durations, Minute, Together};
use crate::ledger::{FunctionUsage, PodUsage, Usage};
use crate::rows::{Account, Ledger, Row};
use crate::stat::Stat;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How long after a change the totals are on the disk: what a kill -9 can lose.
const WRITE_AFTER: Duration = Duration::from_secs(1);

/// The history is larger and matters less.
const HISTORY_EVERY: Duration = Duration::from_secs(60);

const MINUTE_MS: i64 = 60_000;

/// Who was invoked, and how: what the counts of an invocation are kept under.
#[derive(Debug)]
pub struct Invoked {
    pub(crate) row: Row,
    callee: Callee,
}

impl Invoked {
    /// The namespace is that of the function's object, the name as AWS clients know it, the qualifier as the caller gave it, and
    /// the version the one that runs.
    pub fn new(namespace: &str, function: &str, qualifier: Option<&str>, version: &str) -> Invoked {
        let row = (namespace.to_owned(), function.to_owned(), version.to_owned());
        // CloudWatch shows the functions of the AWS door's namespace; others have a name of their own kind.
        let function = match namespace {
            "default" => function.to_owned(),
            other => format!("{other}/{function}"),
        };
        let resource = match qualifier {
            Some(qualifier) if qualifier != "$LATEST" => format!("{function}:{qualifier}"),
            _ => function.clone(),
        };
        Invoked { row, callee: Callee { function, resource, version: version.to_owned() } }
    }
}

/// What an invocation took.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Of the handler.
    pub duration: Duration,
    /// As the bill says, initialisation included.
    pub billed_ms: u64,
    /// Of the function.
    pub memory_mb: u32,
    /// Whether it ended in an error.
    pub failed: bool,
    /// What extensions did after the runtime was done; `None` where there are none.
    pub extensions: Option<Duration>,
}

/// Invocations in flight.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    /// Of the function.
    pub function: u32,
    /// Of all functions.
    pub all: u32,
    /// Of all functions, on what is neither reserved nor provisioned.
    pub unreserved: u32,
    /// Those, and all that is reserved or provisioned.
    pub claimed: u32,
    /// What this one has to do with what is provisioned.
    pub provisioned: Provisioned,
}

/// What an invocation has to do with what is provisioned for its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    /// Nothing is.
    Not,
    /// It is one of so many that run on what is provisioned, this one included.
    Used {
        /// Invocations on it.
        running: u32,
        /// Instances that are provisioned.
        allocated: u32,
    },
    /// All of it was in use.
    Spilled,
}

/// A pod that runs.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'a> {
    /// Of the pod.
    pub namespace: &'a str,
    /// Such as `Deployment/api-service`.
    pub owner: &'a str,
    /// Unique over all time.
    pub uid: &'a str,
    /// What it holds: requested, or used where nothing was requested.
    pub cpu_milli: u64,
    /// In MiB.
    pub memory_mb: u64,
}

/// What ran on this platform. Dropping it ends its thread after the last write.
pub struct Meter {
    inner: Arc<Inner>,
    wake: mpsc::SyncSender<()>,
    dirty: Arc<AtomicBool>,
}

struct Inner {
    ledger: Mutex<Ledger>,
    minutes: Mutex<Minutes>,
    ledger_file: PathBuf,
    history_file: PathBuf,
}

#[derive(Default)]
struct Minutes {
    lambda: HashMap<Callee, Series<Minute>>,
    together: Series<Together>,
    history: History,
    points: usize,
}

/// As it is stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    lambda: Vec<(Callee, Series<Minute>)>,
    together: Series<Together>,
    metrics: Vec<(Metric, Series<Stat>)>,
}

impl Meter {
    /// Reads what was metered before, from and to files in `dir`.
    pub fn open(dir: &Path) -> io::Result<Arc<Meter>> {
        std::fs::create_dir_all(dir)?;
        let inner = Arc::new(Inner {
            ledger: Mutex::default(),
            minutes: Mutex::default(),
            ledger_file: dir.join("ledger.json"),
            history_file: dir.join("history.json"),
        });
        inner.load()?;
        let (wake, woken) = mpsc::sync_channel(1);
        let dirty = Arc::new(AtomicBool::new(false));
        let (writer, flag) = (inner.clone(), dirty.clone());
        std::thread::Builder::new().name("meter".to_owned()).spawn(move || {
            // When the history is due; not while it says all there is to say.
            let mut due: Option<Instant> = None;
            loop {
                let left = due.map(|due| due.saturating_duration_since(Instant::now()));
                let woken = match left {
                    Some(left) => woken.recv_timeout(left),
                    None => woken.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                };
                match woken {
                    Ok(()) => {
                        std::thread::sleep(WRITE_AFTER);
                        flag.store(false, Ordering::Release);
                        writer.write_ledger();
                        due.get_or_insert_with(|| Instant::now() + HISTORY_EVERY);
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
                if due.is_some_and(|due| due <= Instant::now()) {
                    writer.write_history();
                    due = None;
                }
            }
        })?;
        Ok(Arc::new(Meter { inner, wake, dirty }))
    }

    /// An invocation has ended.
    pub fn ran(&self, invoked: &Invoked, run: Run, now: Timestamp) {
        let duration_ms = run.duration.as_secs_f64() * 1000.0;
        self.account(invoked, now, |account| {
            let usage = &mut account.usage;
            usage.invocations += 1;
            usage.errors += u64::from(run.failed);
            usage.billed_ms += run.billed_ms;
            usage.mb_ms += run.billed_ms * u64::from(run.memory_mb);
            usage.memory_mb = run.memory_mb;
            account.durations.add(duration_ms);
        });
        self.minute(invoked, now, |minute| {
            minute.errors.take_in(f64::from(u8::from(run.failed)), 1.0);
            minute.throttles.take_in(0.0, 1.0);
            minute.duration.add(duration_ms, 1.0);
            if let Some(extensions) = run.extensions {
                minute.extensions.get_or_insert_default().add(extensions.as_secs_f64() * 1000.0, 1.0);
            }
        });
    }

    /// An invocation was refused for want of concurrency.
    pub fn throttled(&self, invoked: &Invoked, now: Timestamp) {
        self.account(invoked, now, |account| account.usage.throttles += 1);
        self.minute(invoked, now, |minute| minute.throttles.take_in(1.0, 1.0));
    }

    /// An invocation has begun; so many run now, this one included.
    pub fn entered(&self, invoked: &Invoked, running: Running, now: Timestamp) {
        self.minute(invoked, now, |minute| {
            minute.concurrent.take_in(f64::from(running.function), 1.0);
            minute.provisioned(running.provisioned);
        });
        let mut minutes = lock(&self.inner.minutes);
        let at = minute_of(now);
        let (together, new) = minutes.together.at(at);
        together.all.take_in(f64::from(running.all), 1.0);
        together.unreserved.take_in(f64::from(running.unreserved), 1.0);
        together.claimed.take_in(f64::from(running.claimed), 1.0);
        if new {
            minutes.together.forget_before(at - history::MINUTES_KEPT);
        }
    }

    /// A pod runs, and holds so much from now on. Saying so again changes what it holds.
    pub fn pod_runs(&self, pod: Pod<'_>, now: Timestamp) {
        self.pods(pod.namespace, pod.owner, |usage| {
            usage.count(now.as_millisecond());
            usage.start(pod.uid, pod.cpu_milli, pod.memory_mb, now.as_millisecond());
            usage.count(now.as_millisecond());
        });
    }

    /// A pod has ended.
    pub fn pod_ended(&self, namespace: &str, owner: &str, uid: &str, now: Timestamp) {
        self.pods(namespace, owner, |usage| usage.stop(uid, now.as_millisecond()));
    }

    /// Pods that ended while nobody looked: all but these, counted up to when they were last seen.
    pub fn pods_are(&self, uids: &BTreeSet<String>) {
        for usage in lock(&self.inner.ledger).pods.values_mut() {
            usage.keep(uids);
        }
        self.changed();
    }

    /// A function exists, perhaps again.
    pub fn exists(&self, namespace: &str, function: &str) {
        lock(&self.inner.ledger).exists(namespace, function);
    }

    /// A function was deleted. It has a row of its own for some time still.
    pub fn deleted(&self, namespace: &str, function: &str, now: Timestamp) {
        lock(&self.inner.ledger).deleted(namespace, function, now.as_millisecond());
        self.changed();
    }

    /// A version was deleted, and its function was not. What it used stays the function's.
    pub fn version_deleted(&self, namespace: &str, function: &str, version: &str) {
        lock(&self.inner.ledger).version_deleted(namespace, function, version);
        self.changed();
    }

    /// All functions that exist, by namespace and name: the others were deleted while nobody looked.
    pub fn functions_are(&self, known: &BTreeSet<(String, String)>, now: Timestamp) {
        lock(&self.inner.ledger).functions_are(known, now.as_millisecond());
        self.changed();
    }

    /// All totals, up to now.
    pub fn usage(&self, now: Timestamp) -> Usage {
        self.inner.usage(Some(now))
    }

    /// Adds values to a metric that is not one of functions' own.
    pub fn put(
        &self,
        metric: Metric,
        unit: &str,
        values: &Stat,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), PutError> {
        let (minute, today) = (minute_of(at), minute_of(now));
        if minute < today - history::MINUTES_KEPT || minute > today + history::MINUTES_AHEAD {
            return Err(PutError::Time);
        }
        let mut minutes = lock(&self.inner.minutes);
        let new = minutes.history.put(metric, unit, minute, values)?;
        minutes.grown(new, today);
        drop(minutes);
        self.changed();
        Ok(())
    }

    /// The datapoints of a metric, by the minute since 1970, and its unit.
    pub fn points(&self, metric: &Metric) -> (Vec<(i64, Stat)>, Option<String>) {
        let minutes = lock(&self.inner.minutes);
        if let Some(series) = minutes.history.metrics.get(metric) {
            return (series.points.iter().cloned().collect(), Some(series.unit.clone()));
        }
        if metric.namespace != lambda::NAMESPACE {
            return (Vec::new(), None);
        }
        if let Some(points) = lambda::account(metric, &minutes.together) {
            return (points, Some("Count".to_owned()));
        }
        let unit = lambda::UNITS.iter().find(|(name, _)| *name == metric.name);
        (lambda::points(metric, minutes.lambda.iter()), unit.map(|(_, unit)| (*unit).to_owned()))
    }

    /// Every metric that has datapoints from `since` on, in order.
    pub fn metrics(&self, since: Timestamp) -> Vec<Metric> {
        let since = minute_of(since);
        let minutes = lock(&self.inner.minutes);
        let last = |at: Option<i64>| at.is_some_and(|at| at >= since);
        let own = minutes.lambda.iter().filter(|(_, all)| last(all.points.back().map(|(at, _)| *at)));
        let put = minutes.history.metrics.iter();
        let put = put
            .filter(|(_, all)| last(all.points.back().map(|(at, _)| *at)))
            .map(|(metric, _)| metric.clone());
        let all: BTreeSet<Metric> = lambda::metrics(own).into_iter().chain(put).collect();
        all.into_iter().collect()
    }

    /// Appends the counters of functions in the Prometheus text format.
    pub fn write(&self, text: &mut String) {
        let ledger = lock(&self.inner.ledger);
        let all: Vec<_> = ledger.functions.values().map(|one| (&one.usage, &one.durations)).collect();
        crate::prometheus::write(text, &all);
        drop(all);
        drop(ledger);
        crate::prometheus::write_datapoints(text, lock(&self.inner.minutes).points);
    }

    /// Writes everything to the disk now.
    pub fn flush(&self) {
        self.inner.write_ledger();
        self.inner.write_history();
    }

    fn account(&self, invoked: &Invoked, now: Timestamp, change: impl FnOnce(&mut Account)) {
        {
            let mut ledger = lock(&self.inner.ledger);
            ledger.count(invoked, now.as_millisecond(), change);
            ledger.fold();
        }
        self.changed();
    }

    fn minute(&self, invoked: &Invoked, now: Timestamp, change: impl FnOnce(&mut Minute)) {
        let mut minutes = lock(&self.inner.minutes);
        let at = minute_of(now);
        let new = match minutes.lambda.get_mut(&invoked.callee) {
            Some(series) => counted(series, at, change),
            None => counted(minutes.lambda.entry(invoked.callee.clone()).or_default(), at, change),
        };
        minutes.grown(new, at);
    }

    fn pods(&self, namespace: &str, owner: &str, change: impl FnOnce(&mut PodUsage)) {
        {
            let mut ledger = lock(&self.inner.ledger);
            let usage = ledger.pods.entry((namespace.to_owned(), owner.to_owned())).or_insert_with(|| {
                PodUsage { namespace: namespace.to_owned(), owner: owner.to_owned(), ..PodUsage::default() }
            });
            change(usage);
            ledger.fold();
        }
        self.changed();
    }

    fn changed(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            // Full means that it is awake already.
            self.wake.try_send(()).ok();
        }
    }
}

/// Whether the minute is a new one.
fn counted(series: &mut Series<Minute>, at: i64, change: impl FnOnce(&mut Minute)) -> bool {
    let (minute, new) = series.at(at);
    change(minute);
    new
}

impl Minutes {
    /// Counts a new datapoint, and makes room when there are many.
    fn grown(&mut self, new: bool, minute: i64) {
        if !new {
            return;
        }
        self.points += 1;
        // Looking through all of them is worth it once in a while.
        if self.points.is_multiple_of(1024) {
            let own = self.lambda.values().flat_map(Series::minutes);
            let horizon = history::horizon(minute, own.chain(self.history.minutes()));
            self.lambda.retain(|_, series| {
                series.forget_before(horizon);
                !series.points.is_empty()
            });
            let own: usize = self.lambda.values().map(|series| series.points.len()).sum();
            self.points = own + self.history.forget_before(horizon);
        }
    }
}

impl Inner {
    fn load(&self) -> io::Result<()> {
        let usage: Usage = disk::read(&self.ledger_file)?;
        let mut ledger = lock(&self.ledger);
        for usage in usage.functions {
            let key = (usage.namespace.clone(), usage.function.clone(), usage.version.clone());
            ledger.functions.insert(key, Account { usage, durations: Durations::default() });
        }
        ledger.pods =
            usage.pods.into_iter().map(|pod| ((pod.namespace.clone(), pod.owner.clone()), pod)).collect();
        let stored: Stored = disk::read(&self.history_file)?;
        let mut minutes = lock(&self.minutes);
        minutes.lambda = stored.lambda.into_iter().collect();
        minutes.lambda.values_mut().for_each(|series| series.points.shrink_to_fit());
        minutes.together = stored.together;
        minutes.history.metrics = stored.metrics.into_iter().collect();
        minutes.points = minutes.lambda.values().map(|series| series.points.len()).sum::<usize>()
            + minutes.history.metrics.values().map(|series| series.points.len()).sum::<usize>();
        Ok(())
    }

    fn usage(&self, now: Option<Timestamp>) -> Usage {
        let mut ledger = lock(&self.ledger);
        if let Some(now) = now {
            ledger.pods.values_mut().for_each(|usage| usage.count(now.as_millisecond()));
        }
        let functions: Vec<FunctionUsage> =
            ledger.functions.values().map(|account| account.usage.clone()).collect();
        Usage { functions, pods: ledger.pods.values().cloned().collect() }
    }

    fn write_ledger(&self) {
        let usage = self.usage(None);
        if let Err(error) = disk::write(&self.ledger_file, &usage) {
            tracing::error!(path = %self.ledger_file.display(), %error, "what was metered could not be written");
        }
    }

    fn write_history(&self) {
        let stored = {
            let minutes = lock(&self.minutes);
            let metrics = &minutes.history.metrics;
            Stored {
                together: minutes.together.clone(),
                lambda: minutes.lambda.iter().map(|(callee, all)| (callee.clone(), all.clone())).collect(),
                metrics: metrics.iter().map(|(metric, all)| (metric.clone(), all.clone())).collect(),
            }
        };
        if let Err(error) = disk::write(&self.history_file, &stored) {
            tracing::error!(path = %self.history_file.display(), %error, "metrics could not be written");
        }
    }
}

fn minute_of(time: Timestamp) -> i64 {
    time.as_millisecond().div_euclid(MINUTE_MS)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
