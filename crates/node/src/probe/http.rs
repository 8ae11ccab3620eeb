//! One HTTP GET of a probe or hook: any answer from 200 to 399 is well. Redirects on the same host are followed, as
//! upstream does; others count as an answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use client::k8s_openapi::api::core::v1 as api;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Upstream's bounds on what is read and followed.
const BODY_BYTES_MAX: usize = 10 * 1024;
const REDIRECTS_MAX: usize = 10;

/// Makes the request; the error is what the Unhealthy event says.
pub(crate) async fn get(
    action: &api::HTTPGetAction,
    address: SocketAddr,
    timeout: Duration,
    who: &str,
) -> Result<String, String> {
    let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let url = format!("http://{address}{path}");
    match tokio::time::timeout(timeout, follow(action, address, path, who)).await {
        Err(_) => Err(format!(
            "Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )),
        Ok(Err(error)) => Err(format!("Get \"{url}\": {error}")),
        Ok(Ok((status, body))) if (200..400).contains(&status.as_u16()) => Ok(body),
        Ok(Ok((status, _))) => Err(format!("HTTP probe failed with statuscode: {}", status.as_u16())),
    }
}

async fn follow(
    action: &api::HTTPGetAction,
    address: SocketAddr,
    mut path: String,
    who: &str,
) -> Result<(StatusCode, String), String> {
    let mut redirects = 0;
    loop {
        let response = send(action, address, &path, who).await?;
        let status = response.status();
        match local_redirect(&response, address) {
            Some(next) if redirects < REDIRECTS_MAX => {
                redirects += 1;
                path = next;
            }
            _ => {
                let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                return Ok((status, String::from_utf8_lossy(&body).into_owned()));
            }
        }
    }
}

/// Where a redirect to the same host leads.
fn local_redirect(response: &Response<Incoming>, address: SocketAddr) -> Option<String> {
    let location = response.status().is_redirection().then(|| response.headers().get(header::LOCATION))??;
    let location = location.to_str().ok()?;
    let here = format!("http://{address}");
    let path = location.strip_prefix(&here).unwrap_or(location);
    (path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
}

async fn send(
    action: &api::HTTPGetAction,
    address: SocketAddr,
    path: &str,
    who: &str,
) -> Result<Response<Incoming>, String> {
    let mut request = Request::get(path).header(header::CONNECTION, "close");
    let mut seen = Vec::new();
    for field in action.http_headers.iter().flatten() {
        seen.push(field.name.to_ascii_lowercase());
        request = request.header(&field.name, &field.value);
    }
    let defaults = [
        ("host", address.to_string()),
        ("user-agent", format!("kube-{who}/1.37")),
        ("accept", "*/*".to_owned()),
    ];
    for (name, value) in defaults {
        if !seen.iter().any(|known| known == name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let stream = connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let drive = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string());
    // The connection ends with the response's body; if there is none, now.
    if response.is_err() {
        drive.abort();
    }
    response
}

/// Connects, or says why not in the words users know.
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            _ => error.to_string(),
        };
        format!("dial tcp {address}: connect: {why}")
    })
}
