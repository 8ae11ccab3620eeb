//! What holds for every kind, tried on those that are built in.

mod apply;
mod custom;
mod field_selector;
mod patch;
mod scale;
mod schema;
mod table;
