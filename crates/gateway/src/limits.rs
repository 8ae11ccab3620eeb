//! Every bound of the gateway, each with its reason.

use std::time::Duration;

/// Connections at once, HTTP and HTTPS together; more wait in the listener's backlog. Each holds two descriptors.
pub(crate) const CONNECTIONS_MAX: usize = 10_000;
/// Request line and headers; common servers take 8 to 64 KB.
pub(crate) const HEADER_BYTES_MAX: usize = 64 * 1024;
/// A client that is slower than this with its headers holds a connection for nothing.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Likewise with the TLS handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Endpoints are on this machine or the next: longer than this means nobody answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the last byte of the request to the head of the answer; what nginx and AWS use.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two pieces of an answer's body; event streams send a sign of life more often than this.
const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// An unused connection to an endpoint.
pub(crate) const ENDPOINT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Unused connections per endpoint.
pub(crate) const ENDPOINT_IDLE_MAX: usize = 64;
/// How long requests under way may take to finish once the gateway stops.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept (no descriptors left), so that the loop does not spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The body of a request to a function: Lambda's limit on the whole event, in which it must fit anyway.
pub(crate) const FUNCTION_BODY_MAX: usize = 6 * 1024 * 1024;

/// Status, headers and cookies that a function sends ahead of a streamed body.
pub(crate) const PRELUDE_BYTES_MAX: usize = 64 * 1024;

/// How long endpoints may take. Tests have less of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) response: Duration,
    pub(crate) body: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { connect: CONNECT_TIMEOUT, response: RESPONSE_TIMEOUT, body: BODY_IDLE_TIMEOUT }
    }
}
