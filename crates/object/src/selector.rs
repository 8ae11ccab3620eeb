//! Label and field selectors: parsing, printing, matching.

mod field;
mod label;

pub(crate) use field::at_path;
pub use field::{FieldSelector, FieldValue};
pub use label::LabelSelector;
