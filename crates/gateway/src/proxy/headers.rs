//! What changes in the headers on the way through: what is meant for one hop only stays there (RFC 9110 §7.6.1), and
//! the endpoint learns who asked.

use http::header::{
    CONNECTION, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Response};

use super::upgrade::Wanted;
use crate::peer::{Peer, authority};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Makes a client's headers ready for an endpoint.
pub(super) fn prepare_request(parts: &mut Parts, peer: Peer, upgrade: Option<&Wanted>) {
    let host = HeaderValue::from_str(authority(&parts.uri, &parts.headers)).ok();
    let headers = &mut parts.headers;
    // The one value of TE that is not about this hop's framing.
    let trailers = headers.get(TE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip_hop(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    set_upgrade(headers, upgrade.map(|wanted| &wanted.protocol));
    let address = peer.address.ip().to_string();
    let chain = match headers.get(FORWARDED_FOR).and_then(|before| before.to_str().ok()) {
        Some(before) => format!("{before}, {address}"),
        None => address,
    };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(peer.scheme()));
    if let Some(host) = host {
        // HTTP/2 names the host in the URI; endpoints speak HTTP/1.1.
        headers.insert(HOST, host.clone());
        headers.insert(FORWARDED_HOST, host);
    }
}

/// Makes an endpoint's headers ready for a client.
pub(super) fn prepare_response<B>(response: &mut Response<B>, upgrade: Option<&HeaderValue>) {
    strip_hop(response.headers_mut());
    set_upgrade(response.headers_mut(), upgrade);
}

fn set_upgrade(headers: &mut HeaderMap, protocol: Option<&HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

fn strip_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in listed.into_iter().chain(always) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::prepare_request;
    use crate::peer::Peer;

    #[test]
    fn hop_by_hop_headers_stay_behind_and_the_client_is_named() {
        let request = Request::get("/")
            .header("Host", "shop.test:8080")
            .header("Connection", "close, X-Private")
            .header("X-Private", "1")
            .header("Keep-Alive", "5")
            .header("TE", "trailers")
            .header("Transfer-Encoding", "chunked")
            .header("X-Forwarded-For", "198.51.100.1")
            .header("X-Forwarded-Proto", "gopher")
            .header("Accept", "*/*");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let peer = Peer { address: "192.0.2.7:1".parse().unwrap(), secure: true };
        prepare_request(&mut parts, peer, None);
        let mut seen: Vec<String> = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                "accept: */*",
                "host: shop.test:8080",
                "te: trailers",
                "x-forwarded-for: 198.51.100.1, 192.0.2.7",
                "x-forwarded-host: shop.test:8080",
                "x-forwarded-proto: https",
            ]
        );
    }
}
