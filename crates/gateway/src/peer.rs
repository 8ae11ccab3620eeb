//! Who sent a request, as the socket tells; and what a request says about where it wants to go.

use std::net::SocketAddr;

use http::{HeaderMap, Uri, header};

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Whether the connection is TLS.
    pub(crate) secure: bool,
}

impl Peer {
    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// The host a request names, with its port: from the URI (HTTP/2, absolute form) or the Host header.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    match uri.authority() {
        Some(authority) => authority.as_str(),
        None => text(headers, &header::HOST),
    }
}

/// A host without its port; IPv6 addresses keep their brackets.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// A header's text, empty if it is missing or no text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn hosts_without_ports() {
        for (authority, host) in [
            ("a.test:8080", "a.test"),
            ("a.test", "a.test"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(authority), host);
        }
    }
}
