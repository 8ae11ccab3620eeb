//! Certificates by the name a client asks for (SNI): from the TLS secrets that Ingresses name, else our own.

use std::collections::HashMap;
use std::sync::Arc;

use client::k8s_openapi::api::core::v1::Secret;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates of one table.
#[derive(Default)]
pub(crate) struct Certificates {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// Uses a certificate for a host, or for the subdomains of `*.host`, unless an earlier Ingress has it.
    pub(super) fn add(&mut self, host: &str, certificate: Arc<CertifiedKey>) {
        let host = host.to_ascii_lowercase();
        match host.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.to_owned()).or_insert(certificate),
            None => self.exact.entry(host).or_insert(certificate),
        };
    }

    /// The certificate for a name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let found = self.exact.get(&name);
        found.or_else(|| self.wildcard.get(name.split_once('.')?.1)).cloned()
    }
}

/// Reads a `kubernetes.io/tls` secret; an error says what is wrong with it.
pub(super) fn read(secret: &Secret) -> Result<Arc<CertifiedKey>, String> {
    let data = secret.data.as_ref().ok_or("the secret is empty")?;
    let part = |name: &str| data.get(name).ok_or(format!("the secret has no {name}"));
    let chain = CertificateDer::pem_slice_iter(&part("tls.crt")?.0).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("tls.crt: {error}"))?;
    if chain.is_empty() {
        return Err("tls.crt holds no certificate".to_owned());
    }
    let key =
        PrivateKeyDer::from_pem_slice(&part("tls.key")?.0).map_err(|error| format!("tls.key: {error}"))?;
    let key = any_supported_type(&key).map_err(|error| format!("tls.key: {error}"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err("tls.key does not belong to tls.crt".to_owned())
        }
        _ => Ok(Arc::new(certified)),
    }
}
