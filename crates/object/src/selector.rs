//! Label and field selectors: parsing, printing, matching.

mod field;
mod label;

pub use field::{FieldSelector, FieldValue};
pub use label::LabelSelector;
