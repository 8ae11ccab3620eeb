//! Requests to one registry: who one is, redirects, timeouts. Blobs may come from elsewhere, without the credentials.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::challenge::{self, Challenge};
use crate::{Credentials, Error, Reference};

/// How long a registry may take to answer, and to send the next piece.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Registries send blobs from other places, one hop away.
const REDIRECTS_MAX: usize = 5;
/// Manifests and tokens; the distribution project's own limit for manifests.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// One registry, as one caller sees it.
pub(crate) struct Registry<'a> {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: String,
    path: &'a str,
    credentials: Option<&'a Credentials>,
    /// Once the registry has said what it wants.
    authorization: Option<HeaderValue>,
}

fn network(error: impl std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Error::Network(text)
}

/// A registry on this machine speaks plain HTTP, as every client has it.
fn scheme(host: &str) -> &'static str {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = name == "localhost" || name.starts_with("127.") || name == "[::1]";
    if local { "http" } else { "https" }
}

impl<'a> Registry<'a> {
    pub(crate) fn new(
        reference: &'a Reference,
        credentials: Option<&'a Credentials>,
    ) -> Result<Registry<'a>, Error> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT_MAX));
        http.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(network)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Registry {
            client: Client::builder(TokioExecutor::new()).build(https),
            base: format!("{}://{}", scheme(&reference.host), reference.host),
            path: &reference.path,
            credentials,
            authorization: None,
        })
    }

    /// Gets what is below the repository, such as `blobs/DIGEST`; proves who asks when the registry wants to know.
    pub(crate) async fn get(&mut self, below: &str, accept: &str) -> Result<Response<Incoming>, Error> {
        let url = format!("{}/v2/{}/{below}", self.base, self.path);
        let mut response = self.follow(&url, accept).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
            self.authorization = Some(self.prove(&response).await?);
            response = self.follow(&url, accept).await?;
        }
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::NOT_FOUND => Err(Error::NotFound),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Denied(explain(response).await)),
            status => Err(Error::Invalid(format!("{status} for {url}: {}", explain(response).await))),
        }
    }

    async fn follow(&self, url: &str, accept: &str) -> Result<Response<Incoming>, Error> {
        let mut uri: Uri = url.parse().map_err(network)?;
        let home = uri.authority().cloned();
        for _ in 0..=REDIRECTS_MAX {
            // What the registry may know is nobody else's business.
            let own = uri.authority() == home.as_ref();
            let authorization = self.authorization.as_ref().filter(|_| own);
            let response = self.send(&uri, accept, authorization).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.ok_or_else(|| Error::Invalid(format!("a redirect from {uri} to nowhere")))?;
            let absolute = if to.starts_with('/') { format!("{}{to}", self.base) } else { to.to_owned() };
            uri = absolute.parse().map_err(network)?;
        }
        Err(Error::Invalid(format!("more than {REDIRECTS_MAX} redirects from {url}")))
    }

    async fn send(
        &self,
        uri: &Uri,
        accept: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::get(uri)
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, concat!("dory/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(network)?;
        let answered = tokio::time::timeout(ANSWER_MAX, self.client.request(request)).await;
        answered.map_err(|_| Error::Network(format!("Get \"{uri}\": no answer within 60 s")))?.map_err(
            |error| {
                let Error::Network(why) = network(error) else { unreachable!("made just above") };
                Error::Network(format!("Get \"{uri}\": {why}"))
            },
        )
    }

    /// What the registry asks for, from the credentials there are.
    async fn prove(&self, response: &Response<Incoming>) -> Result<HeaderValue, Error> {
        let values = response.headers().get_all(header::WWW_AUTHENTICATE);
        let wanted = values.iter().filter_map(|value| value.to_str().ok()).find_map(challenge::parse);
        let text = match wanted.ok_or_else(|| Error::Denied("the registry does not say how".into()))? {
            Challenge::Basic => self
                .credentials
                .map(Credentials::basic)
                .ok_or_else(|| Error::Denied("no basic auth credentials".into()))?,
            Challenge::Bearer { realm, service, scope } => {
                format!("Bearer {}", self.token(&realm, &service, &scope).await?)
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(network)?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn token(&self, realm: &str, service: &str, scope: &str) -> Result<String, Error> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let default = format!("repository:{}:pull", self.path);
        let scope = if scope.is_empty() { &default } else { scope };
        let join = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{join}service={}&scope={}", encode(service), encode(scope));
        let uri: Uri = url.parse().map_err(network)?;
        let secret = self.credentials.map(Credentials::basic);
        let secret = secret.map(|text| HeaderValue::from_str(&text)).transpose().map_err(network)?;
        let response = self.send(&uri, "application/json", secret.as_ref()).await?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(Error::Denied(format!(
                "failed to fetch a token: {status} {}",
                explain(response).await
            )));
        }
        let answer: Value = serde_json::from_slice(&document(response).await?)
            .map_err(|error| Error::Invalid(format!("the token: {error}")))?;
        let token = answer["token"].as_str().or(answer["access_token"].as_str());
        token.map(str::to_owned).ok_or_else(|| Error::Invalid("there is no token in the answer".into()))
    }
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = tokio::time::timeout(ANSWER_MAX, body.frame()).await;
        match frame.map_err(|_| Error::Network("the registry stopped sending".into()))? {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => return Err(network(error)),
        }
    }
}

/// A small body as a whole.
pub(crate) async fn document(response: Response<Incoming>) -> Result<Vec<u8>, Error> {
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(data) = piece(&mut body).await? {
        bytes.extend_from_slice(&data);
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(Error::Invalid("a document of more than 4 MiB".into()));
        }
    }
    Ok(bytes)
}

/// The registry's own words about a failure.
async fn explain(response: Response<Incoming>) -> String {
    let bytes = document(response).await.unwrap_or_default();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let errors = answer["errors"].as_array().into_iter().flatten();
    let texts: Vec<&str> = errors.filter_map(|error| error["message"].as_str()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::scheme;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for (host, expected) in [
            ("localhost:5000", "http"),
            ("127.0.0.1:5000", "http"),
            ("localhost", "http"),
            ("localhost.evil.test", "https"),
            ("10.0.0.1:5000", "https"),
        ] {
            assert_eq!(scheme(host), expected, "{host}");
        }
    }
}
