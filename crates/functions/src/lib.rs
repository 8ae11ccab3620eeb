//! Function instances: pools, invoke, concurrency, the Runtime API. Function objects live in the Kubernetes API (kind
//! `Function`, `dory.dev/v1`) and are only read here; instances are soft state that no invocation ever writes down.
//! Called by the gateway (function URLs), the AWS door (`Invoke`, code, logs) and the composition root.
//!
//! ```text
//!  Functions ─ what callers hold: invoke, put_code, logs
//!    ├─ Definition   one revision of a function, or a published version, read from its object
//!    ├─ Alias        a name for one version, or for two by weight
//!    ├─ Pool         instances of one revision: from zero, burst, keep-alive, drain
//!    │    └─ Instance     one sandbox, one invocation at a time
//!    │         ├─ runtime_api   2018-06-01, on a listener inside the sandbox's own network namespace
//!    │         ├─ web           speaks for a web server that knows nothing of the Runtime API
//!    │         ├─ door          the AWS endpoint, on another one
//!    │         ├─ Extensions    who else runs in it, and waits for events of its own
//!    │         └─ Telemetry     what they hear of it
//!    ├─ Stock        booted runtimes that wait for a function
//!    ├─ Events       asynchronous invocations: a durable queue for each function, retries, destinations
//!    ├─ Codes        zip archives, unpacked once, by content
//!    ├─ Runtimes     what may run here: `provided.*`, Node and Python where the host has them, others in images
//!    ├─ Images       what functions of package type Image are, kept by digest
//!    ├─ Logs         START, END, REPORT and all that functions print (room `managed`)
//!    └─ Meter        what each invocation took (room `meter`)
//! ```

mod alias;
mod catalog;
mod code;
mod concurrency;
mod definition;
mod detached;
mod door;
mod environment;
mod events;
mod extensions;
mod fault;
mod functions;
mod images;
mod instance;
mod invocation;
mod journal;
mod lines;
mod logging;
#[cfg(feature = "loopback")]
pub mod loopback;
mod machine;
mod metering;
mod pace;
mod pool;
mod preboot;
mod program;
mod report;
mod role;
mod runtime_api;
mod runtimes;
mod sandboxes;
mod stages;
mod streaming;
mod telemetry;
mod throttle;
mod trace;
mod web;

pub use code::{Code, CodeError, UNZIPPED_BYTES_MAX, ZIP_BYTES_MAX};
pub use definition::{Definition, FunctionImage, ImageConfig, object_name};
pub use door::{Aws, Door};
pub use environment::RESERVED as RESERVED_VARIABLES;
pub use events::{Backlog, DeliveryError, Destination, EVENT_BYTES_MAX, EventConfig, Parcel, Retries};
pub use functions::{
    AddRuntimeError, Config, FunctionUrl, Functions, Watched, layer_resource, own_resource, resource,
};
pub use images::{ImageError, TakenImage};
pub use invocation::{FunctionError, Invocation, InvocationKind, InvokeError, Outcome, PAYLOAD_BYTES_MAX};
pub use logging::{Format as LogFormat, Level as LogLevel, Logging};
pub use metering::FunctionNow;
pub use role::{DEFAULT_ROLE, iam_id, role_name};
pub use runtimes::{RUNTIMES, RuntimeError, RuntimeImage, RuntimeVersion};
pub use sandboxes::{Program, Running, Sandbox, Sandboxes, Spec, StartError};
pub use stages::Stage;
pub use streaming::{Completion, ResponseBody, STREAM_BYTES_MAX, StreamedOutcome};
pub use throttle::{Throttle, ThrottleReason};
pub use web::web_adapter_layer;

/// Holds the AWS name of a function whose object had to be named differently.
pub const NAME_ANNOTATION: &str = "dory.dev/function-name";

/// Holds the real name of an alias whose object had to be named differently.
pub const ALIAS_ANNOTATION: &str = "dory.dev/alias-name";

#[cfg(test)]
mod tests;
