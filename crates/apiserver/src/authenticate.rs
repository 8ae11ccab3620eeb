//! Who is asking: a bearer token, else what the transport put into the request's extensions, else nobody.

use crate::{
    api::Api,
    identity::{Identity, PeerCertificate},
};
use http::{HeaderMap, header, request::Parts};
use object::Status;

/// The caller of a request. A token that does not hold is a 401, never anonymous.
pub(crate) fn authenticate(api: &Api, parts: &Parts) -> Result<Identity, Status> {
    if let Some(identity) = parts.extensions.get::<Identity>() {
        return Ok(identity.clone());
    }
    if let Some(PeerCertificate(der)) = parts.extensions.get::<PeerCertificate>() {
        return of_certificate(der).ok_or_else(Status::unauthorized);
    }
    let Some(token) = bearer(&parts.headers) else { return Ok(Identity::anonymous()) };
    let now = jiff::Timestamp::now().as_second();
    api.tokens.identify(&api.cache, token, &[api.tokens.issuer()], now).map_err(|why| {
        tracing::debug!(why, "a bearer token was refused");
        Status::unauthorized()
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The common name is the user, the organizations are the groups.
fn of_certificate(der: &[u8]) -> Option<Identity> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().next()?.as_str().ok().filter(|name| !name.is_empty())?;
    let groups: Vec<&str> = subject.iter_organization().filter_map(|own| own.as_str().ok()).collect();
    Some(Identity::new(user, &groups))
}
