//! What an object is: names, what a kind is, selectors, patches, status errors; pure, no async. The kinds themselves are room
//! `kinds`, and those that definitions make at run time `custom`.
//!
//! ```text
//!   bytes ──yaml──┐                                     ┌── table   rows for `kubectl get`
//!                 ├─► kind.decode ─► kind.admit_* ─► Value ── apply   managedFields
//!   bytes ──json──┘        │              │              └── selector
//!                       schema        the Kind       patch ──┘
//!                 (types, keys)   (defaults, rules)
//! ```
//!
//! Objects are `serde_json::Value` from end to end: no object is ever read into a typed struct, so nothing that a
//! newer client wrote is lost. Time and randomness come in from the caller. `apiserver` is the main user; `cli`,
//! `controllers` and `scheduler` use the selectors, quantities and names.
#![deny(missing_docs)]

pub mod apply;
pub mod cron;
pub mod custom;
pub mod indexes;
pub mod json;
pub mod kind;
pub mod name;
pub mod patch;
pub mod path;
pub mod placement;
pub mod quantity;
pub mod scale;
pub mod schema;
pub mod selector;
pub mod status;
pub mod storage;
pub mod table;
pub mod time;
pub mod yaml;

pub use kind::{Context, Decoded, Edition, Kind, Subresource};
pub use schema::FieldValidation;
pub use status::Status;
