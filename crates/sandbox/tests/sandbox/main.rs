//! Pods, containers, commands and instances on the real kernel. Needs root.
mod adopt;
mod confine;
mod exec;
mod house;
mod instances;
mod pods;
