//! What the meter hears of invocations: who was called, what it took, how many ran at once. Nothing here waits or
//! touches the disk.

use crate::Functions;
use crate::catalog::Function;
use crate::machine::Machine;
use jiff::Timestamp;
use meter::{Invoked, Meter};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The meter, and how many invocations are in flight.
pub(crate) struct Metering {
    pub(crate) meter: Arc<Meter>,
    all: AtomicU32,
    unreserved: AtomicU32,
}

/// One invocation in flight; dropped when it has ended.
pub(crate) struct InFlight {
    machine: Arc<Machine>,
    reserved: bool,
}

impl Metering {
    pub(crate) fn new(meter: Arc<Meter>) -> Metering {
        Metering { meter, all: AtomicU32::new(0), unreserved: AtomicU32::new(0) }
    }
}

fn invoked<'a>(function: &'a Function, qualifier: Option<&'a str>) -> Invoked<'a> {
    let definition = &function.definition;
    Invoked {
        namespace: &definition.namespace,
        function: &definition.name,
        qualifier,
        version: &definition.version,
    }
}

impl Machine {
    /// An invocation may run.
    pub(crate) fn entered(self: &Arc<Self>, function: &Function, qualifier: Option<&str>) -> InFlight {
        let metering = &self.metering;
        let reserved = function.reserved_concurrency.is_some();
        let running = meter::Running {
            function: function.usage.running(),
            all: metering.all.fetch_add(1, Ordering::AcqRel) + 1,
            unreserved: match reserved {
                true => metering.unreserved.load(Ordering::Acquire),
                false => metering.unreserved.fetch_add(1, Ordering::AcqRel) + 1,
            },
        };
        metering.meter.entered(invoked(function, qualifier), running, Timestamp::now());
        InFlight { machine: self.clone(), reserved }
    }

    /// It has run.
    pub(crate) fn ran(&self, function: &Function, qualifier: Option<&str>, run: meter::Run) {
        self.metering.meter.ran(invoked(function, qualifier), run, Timestamp::now());
    }

    /// It was refused.
    pub(crate) fn throttled(&self, function: &Function, qualifier: Option<&str>) {
        self.metering.meter.throttled(invoked(function, qualifier), Timestamp::now());
    }
}

impl Functions {
    /// Appends counters and gauges of functions in the Prometheus text format.
    pub fn write_metrics(&self, text: &mut String) {
        let metering = &self.machine.metering;
        metering.meter.write(text);
        let (limit, unreserved) = self.concurrency();
        let rows = [
            ("concurrent_executions", "Invocations in flight.", metering.all.load(Ordering::Acquire)),
            (
                "unreserved_concurrent_executions",
                "Invocations in flight of functions without a reservation.",
                metering.unreserved.load(Ordering::Acquire),
            ),
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

impl Drop for InFlight {
    fn drop(&mut self) {
        let metering = &self.machine.metering;
        metering.all.fetch_sub(1, Ordering::AcqRel);
        if !self.reserved {
            metering.unreserved.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
