//! The gateway over real sockets: a scripted API server behind it, endpoints that do as their path says, and requests
//! written as text.

mod api;
mod endpoint;
mod functions;
mod house;
mod ingress;
mod life;
mod tls;
