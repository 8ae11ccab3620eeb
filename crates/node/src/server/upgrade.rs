//! How a request becomes a connection of its own: WebSocket or SPDY, and which protocol is spoken on it.

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use object::Status;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::node::Body;

/// The largest message a client may send; kubectl's are 32 KiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Where SPDY clients offer their protocols, and are told the one chosen.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// The protocols of one kind of request, the best first.
pub(super) struct Offer {
    pub(super) websocket: &'static [&'static str],
    pub(super) spdy: &'static str,
}

/// What was agreed on.
pub(super) enum Agreed {
    WebSocket(OnUpgrade),
    Spdy(OnUpgrade),
}

/// The words of a header that may hold several.
fn words(request: &Request<Body>, name: HeaderName) -> Vec<String> {
    let values = request.headers().get_all(name);
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|word| word.trim().to_owned()).collect()
}

/// Agrees with the client: the answer for it, and the connection to come.
pub(super) fn open(request: &mut Request<Body>, offer: &Offer) -> Result<(Response<Body>, Agreed), Status> {
    let upgrades = words(request, header::UPGRADE);
    let asks = |name: &str| upgrades.iter().any(|word| word.eq_ignore_ascii_case(name));
    let upgrade = words(request, header::CONNECTION).iter().any(|word| word.eq_ignore_ascii_case("upgrade"));
    match (asks("websocket") && upgrade, asks("spdy/3.1") && upgrade) {
        (true, _) => websocket(request, offer),
        (_, true) => spdy(request, offer),
        _ => Err(Status::bad_request("you must request an upgrade to WebSocket or SPDY/3.1")),
    }
}

fn websocket(request: &mut Request<Body>, offer: &Offer) -> Result<(Response<Body>, Agreed), Status> {
    let key = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let key = key.ok_or_else(|| Status::bad_request("the WebSocket key is missing"))?;
    let offered = words(request, header::SEC_WEBSOCKET_PROTOCOL);
    let chosen = offer.websocket.iter().find(|own| offered.iter().any(|word| word == **own));
    let protocol = chosen.ok_or_else(|| {
        Status::bad_request(if offer.websocket.is_empty() {
            "this version of the client loses output over WebSocket: use SPDY/3.1".to_owned()
        } else {
            let known = offer.websocket.join(" or ");
            format!("none of the offered WebSocket protocols is known; use {known}")
        })
    })?;
    let accept = HeaderValue::from_str(&key).expect("base64 is a header value");
    let more = [
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol)),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let (response, upgrade) = switch(request, "websocket", more)?;
    Ok((response, Agreed::WebSocket(upgrade)))
}

fn spdy(request: &mut Request<Body>, offer: &Offer) -> Result<(Response<Body>, Agreed), Status> {
    let offered = words(request, STREAM_PROTOCOL);
    if !offered.iter().any(|word| word == offer.spdy) {
        return Err(Status::failure(
            403,
            "Forbidden",
            format!(
                "unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server accepts [{}]",
                offer.spdy
            ),
        ));
    }
    let more = [(STREAM_PROTOCOL, HeaderValue::from_static(offer.spdy))];
    let (response, upgrade) = switch(request, "SPDY/3.1", more)?;
    Ok((response, Agreed::Spdy(upgrade)))
}

fn switch<const N: usize>(
    request: &mut Request<Body>,
    to: &'static str,
    more: [(HeaderName, HeaderValue); N],
) -> Result<(Response<Body>, OnUpgrade), Status> {
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| Status::bad_request("the connection cannot be upgraded"))?;
    let mut response = Response::new(UnsyncBoxBody::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static(to));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.extend(more);
    Ok((response, upgrade))
}

/// A WebSocket after its handshake.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Waits for the upgrade to a WebSocket.
pub(super) async fn socket(upgrade: OnUpgrade) -> Result<Socket, hyper::Error> {
    let stream = TokioIo::new(upgrade.await?);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    Ok(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer =
        Offer { websocket: &["v5.channel.k8s.io", "v4.channel.k8s.io"], spdy: "v4.channel.k8s.io" };

    fn refused(headers: &[(&'static str, &'static str)]) -> Status {
        let mut request = Request::new(Body::default());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        match open(&mut request, &OFFER) {
            Ok(_) => panic!("not refused: {headers:?}"),
            Err(status) => status,
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(refused(&[]).message.contains("you must request an upgrade"));
        let odd = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-key", "x"),
            ("sec-websocket-protocol", "v9.channel.k8s.io"),
        ];
        assert!(refused(&odd).message.contains("v5.channel.k8s.io or v4"));
        let old = [
            ("upgrade", "SPDY/3.1"),
            ("connection", "Upgrade"),
            ("x-stream-protocol-version", "v2.channel.k8s.io"),
        ];
        let status = refused(&old);
        assert!(status.code == 403 && status.message.contains("server accepts [v4.channel.k8s.io]"));
        // Understood, but there is no connection behind this request.
        let good = [old[0], old[1], ("x-stream-protocol-version", "v9, v4.channel.k8s.io")];
        assert_eq!(refused(&good).message, "the connection cannot be upgraded");
    }
}
