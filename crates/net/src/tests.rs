//! The room's tests: real namespaces, links and traffic. Every test has a host of its own, a network and mount
//! namespace that vanishes with the test's thread, so tests neither meet nor leave anything behind.

mod host;
mod names;
mod pods;
mod services;
