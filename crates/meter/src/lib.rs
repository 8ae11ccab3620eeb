//! What ran, for how long, how big, and what that costs under a price list. Called by `functions` for every invocation
//! and by `node` for every pod; read by the AWS door (CloudWatch metrics, `dory cost`) and by `/metrics`. It knows no
//! wire format and reaches no API; its only effect is two files, written by one thread behind everybody's back.
//!
//! ```text
//!  Meter ─ what callers hold
//!    ├─ Ledger    totals that a bill is made of: they survive a restart (ledger.json)
//!    ├─ History   one-minute datapoints of metrics, bounded (history.json)
//!    └─ disk      the one thread that writes both, atomically
//!  prices ─ a price list          cost ─ usage × prices, pure
//! ```
#![deny(missing_docs)]

mod cost;
mod disk;
mod history;
mod lambda;
mod ledger;
mod meter;
mod prices;
mod prometheus;
mod rows;
mod stat;

pub use cost::{Bill, FunctionBill, PodBill, bill};
pub use history::{MINUTES_KEPT, Metric, PutError, Unit};
pub use lambda::{NAMESPACE as LAMBDA_NAMESPACE, UNITS as LAMBDA_UNITS};
pub use ledger::{DELETED, FunctionUsage, OTHERS, PodUsage, Usage};
pub use meter::{Invoked, Meter, Pod, Provisioned, Run, Running};
pub use prices::{PriceError, Prices};
pub use stat::{Stat, percentile};

#[cfg(test)]
mod tests;
