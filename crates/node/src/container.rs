//! From the API's description of a container to the sandbox's. Everything here is pure; what it needs from elsewhere
//! (images, ConfigMaps, services) comes in as values.

pub(crate) mod downward;
pub(crate) mod env;
pub(crate) mod expand;
pub(crate) mod refuse;
pub(crate) mod resolv;
pub(crate) mod security;
pub(crate) mod service_env;
pub(crate) mod spec;
