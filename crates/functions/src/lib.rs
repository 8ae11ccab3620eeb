//! Functions: pools of instances, invoke, concurrency, events. Function objects live in the Kubernetes API (kind `Function`,
//! `dory.dev/v1`) and are only read here; instances are soft state that no invocation ever writes down. What goes on in one
//! instance is room `instance`.
//! Called by the gateway (function URLs), the AWS door (`Invoke`, code, logs) and the composition root.
//!
//! ```text
//!  Functions ─ what callers hold: invoke, put_code, logs
//!    ├─ Definition   one revision of a function, or a published version, read from its object
//!    ├─ Alias        a name for one version, or for two by weight
//!    ├─ Pool         instances of one revision: from zero, burst, keep-alive, drain
//!    │    └─ Instance     one sandbox, one invocation at a time (room `instance`)
//!    ├─ Stock        booted runtimes that wait for a function
//!    ├─ Events       asynchronous invocations: a durable queue for each function, retries, destinations
//!    ├─ Sources      queues whose messages functions get in batches: one poller for each mapping
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
mod credentials;
mod definition;
mod detached;
mod environment;
mod events;
mod functions;
mod images;
mod invocation;
#[cfg(feature = "loopback")]
pub mod loopback;
mod machine;
mod metering;
mod pace;
mod pool;
mod preboot;
mod program;
mod runtimes;
mod sources;
mod streaming;
mod throttle;
mod trace;

pub use code::{Code, CodeError, UNZIPPED_BYTES_MAX, ZIP_BYTES_MAX};
pub use credentials::Aws;
pub use definition::{Definition, FunctionImage, ImageConfig, object_name};
pub use environment::RESERVED as RESERVED_VARIABLES;
pub use events::{Backlog, DeliveryError, Destination, EVENT_BYTES_MAX, EventConfig, Parcel, Retries};
pub use functions::{AddRuntimeError, Config, FunctionUrl, Functions, Watched, layer_resource, resource};
pub use images::{ImageError, TakenImage};
pub use instance::web::archive as web_adapter_layer;
pub use instance::{
    Door, Format as LogFormat, FunctionError, Level as LogLevel, Logging, PAYLOAD_BYTES_MAX, Program,
    Running, STREAM_BYTES_MAX, Sandbox, Sandboxes, Spec, Stage, StartError,
};
pub use invocation::{Invocation, InvocationKind, InvokeError, Outcome, new_request_id};
pub use metering::FunctionNow;
pub use runtimes::{RUNTIMES, RuntimeError, RuntimeImage, RuntimeVersion};
pub use sources::check_filter;
pub use streaming::{Completion, ResponseBody, StreamedOutcome};
pub use throttle::{Throttle, ThrottleReason};

/// Holds the AWS name of a function whose object had to be named differently.
pub const NAME_ANNOTATION: &str = "dory.dev/function-name";

/// Holds the real name of an alias whose object had to be named differently.
pub const ALIAS_ANNOTATION: &str = "dory.dev/alias-name";

#[cfg(test)]
mod tests;
