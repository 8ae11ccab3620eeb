//! For development only: what tests and benches share. Nothing of the house rests on it.

pub mod binary;
mod fake_node;
pub mod house;
