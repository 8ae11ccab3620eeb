//! What `/metrics` tells: requests by verb, resource and code, how long they took, watches, and the store's revision,
//! under upstream's names where upstream has them.

use crate::{answer, api::Api, attributes::Attributes, cache::Cache};
use http::{Response, StatusCode};
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS_US: [u64; 12] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

/// The counters of one API server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(Observed, u16), u64>>,
    latencies: Mutex<BTreeMap<&'static str, Latency>>,
    panics: Arc<AtomicU64>,
    watches: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Latency {
    buckets: [u64; BUCKETS_US.len()],
    count: u64,
    sum_us: u64,
}

/// What is counted of a request: names from the kinds table, none that clients make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Observed {
    verb: &'static str,
    resource: &'static str,
    subresource: &'static str,
}

impl Observed {
    pub(crate) fn new(attributes: &Attributes) -> Self {
        let kind = kinds::kind(&attributes.group, &attributes.version, &attributes.resource);
        let below = kind.and_then(|kind| kind.subresource(&attributes.subresource));
        Self {
            verb: attributes.verb,
            resource: kind.map_or("", |kind| kind.plural),
            subresource: below.map_or("", |own| own.name),
        }
    }
}

/// Counts one open watch for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenWatch {
    open: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
}

impl OpenWatch {
    /// The watch met a bug, and ends.
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn watching(&self) -> OpenWatch {
        self.watches.fetch_add(1, Ordering::Relaxed);
        OpenWatch { open: self.watches.clone(), panics: self.panics.clone() }
    }

    pub(crate) fn answered(&self, observed: Observed, code: StatusCode, took: Duration) {
        let key = (observed, code.as_u16());
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = latencies.entry(observed.verb).or_default();
        latency.count += 1;
        latency.sum_us = latency.sum_us.saturating_add(took_us);
        for (bucket, bound) in latency.buckets.iter_mut().zip(BUCKETS_US) {
            *bucket += u64::from(took_us <= bound);
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# TYPE apiserver_request_total counter")?;
        for ((of, code), count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let Observed { verb, resource, subresource } = of;
            writeln!(
                out,
                "apiserver_request_total{{verb=\"{verb}\",resource=\"{resource}\",subresource=\"{subresource}\",\
                 code=\"{code}\"}} {count}"
            )?;
        }
        writeln!(out, "# TYPE apiserver_request_duration_seconds histogram")?;
        let name = "apiserver_request_duration_seconds";
        for (verb, latency) in self.latencies.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (count, bound) in latency.buckets.iter().zip(BUCKETS_US) {
                let bound = bound as f64 / 1e6;
                writeln!(out, "{name}_bucket{{verb=\"{verb}\",le=\"{bound}\"}} {count}")?;
            }
            writeln!(out, "{name}_bucket{{verb=\"{verb}\",le=\"+Inf\"}} {}", latency.count)?;
            writeln!(out, "{name}_sum{{verb=\"{verb}\"}} {}", latency.sum_us as f64 / 1e6)?;
            writeln!(out, "{name}_count{{verb=\"{verb}\"}} {}", latency.count)?;
        }
        writeln!(out, "# TYPE apiserver_request_panics_total counter")?;
        writeln!(out, "apiserver_request_panics_total {}", self.panics.load(Ordering::Relaxed))?;
        writeln!(out, "# TYPE apiserver_longrunning_requests gauge")?;
        let watches = self.watches.load(Ordering::Relaxed);
        writeln!(out, "apiserver_longrunning_requests{{verb=\"watch\"}} {watches}")
    }
}

/// Answers a scrape.
pub(crate) fn answer(api: &Api) -> Response<answer::Body> {
    let mut out = String::new();
    api.metrics.write(&mut out).expect("writing into a string cannot fail");
    write_cache(&mut out, &api.cache).expect("writing into a string cannot fail");
    for other in &api.config.metrics {
        other(&mut out);
    }
    answer::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", answer::full(out))
}

fn write_cache(out: &mut String, cache: &Cache) -> std::fmt::Result {
    writeln!(out, "# TYPE apiserver_store_revision gauge")?;
    writeln!(out, "apiserver_store_revision {}", cache.revision())?;
    writeln!(out, "# TYPE apiserver_storage_objects gauge")?;
    for shelf in cache.shelves() {
        let (resource, count) = (shelf.kind.plural, shelf.read().len());
        writeln!(out, "apiserver_storage_objects{{resource=\"{resource}\"}} {count}")?;
    }
    for served in cache.customs().all() {
        let (kind, count) = (served.shelf.kind, served.shelf.read().len());
        let resource = object::status::qualified(kind.group, kind.plural);
        writeln!(out, "apiserver_storage_objects{{resource=\"{resource}\"}} {count}")?;
    }
    Ok(())
}
