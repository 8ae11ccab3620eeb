//! The platform's certificates: one authority made at first start, and what it signs.
//!
//! The authority and the ServiceAccount key are kept in `pki/`; serving and client certificates are signed anew at
//! every start and, in a long-lived process, every [`RENEW_AFTER`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use crate::data_dir::DataDir;

const AUTHORITY_FILE: &str = "pki/authority.json";
/// Ten years, as kubeadm gives its authority.
const AUTHORITY_YEARS: i32 = 10;
/// One year, as kubeadm gives the certificates below it.
const LEAF_YEARS: i32 = 1;
/// A process that runs this long signs a fresh serving certificate, well before the old one ends.
pub const RENEW_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Serialize, Deserialize)]
struct Kept {
    authority_certificate_pem: String,
    authority_key_pem: String,
    service_account_key_pem: String,
}

/// The authority, able to sign.
pub struct Pki {
    kept: Kept,
}

/// A certificate and its key, in PEM, as a kubeconfig holds them.
pub struct Signed {
    pub certificate_pem: String,
    pub key_pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Pki {
    /// Reads the authority of this data directory, or makes it.
    pub fn open(data: &DataDir) -> Result<Pki> {
        if let Some(kept) = data.read_json(AUTHORITY_FILE)? {
            return Ok(Pki { kept });
        }
        let key = KeyPair::generate()?;
        let certificate = authority_params()?.self_signed(&key)?;
        let kept = Kept {
            authority_certificate_pem: certificate.pem(),
            authority_key_pem: key.serialize_pem(),
            service_account_key_pem: KeyPair::generate()?.serialize_pem(),
        };
        data.write_json(AUTHORITY_FILE, &kept)?;
        Ok(Pki { kept })
    }

    /// The authority's certificate, which every client trusts.
    pub fn authority_pem(&self) -> &str {
        &self.kept.authority_certificate_pem
    }

    /// The authority's certificate in DER, for verifying client certificates.
    pub fn authority_der(&self) -> Result<CertificateDer<'static>> {
        use rustls::pki_types::pem::PemObject;
        CertificateDer::from_pem_slice(self.authority_pem().as_bytes())
            .context("pki/authority.json is damaged")
    }

    /// The P-256 key that signs ServiceAccount tokens, PKCS #8 DER.
    pub fn service_account_key(&self) -> Result<Vec<u8>> {
        Ok(KeyPair::from_pem(&self.kept.service_account_key_pem)?.serialize_der())
    }

    /// A certificate for the Kubernetes API under all the names clients use for it.
    pub fn serving(&self, addresses: &[IpAddr]) -> Result<Signed> {
        let mut names: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        .map(String::from)
        .to_vec();
        names.extend(addresses.iter().map(IpAddr::to_string));
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = subject("dory", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A client certificate: Kubernetes reads the user from CN and the group from O.
    pub fn client(&self, user: &str, group: &str) -> Result<Signed> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(user, Some(group));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Signed> {
        valid_for(&mut params, LEAF_YEARS);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let issuer = Issuer::new(authority_params()?, KeyPair::from_pem(&self.kept.authority_key_pem)?);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Signed {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        })
    }
}

impl Signed {
    /// The pair as rustls serves it.
    pub fn certified_key(&self) -> Result<Arc<CertifiedKey>> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let key = rustls::crypto::ring::sign::any_ecdsa_type(&key)?;
        Ok(Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key)))
    }
}

fn authority_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject("dory-authority", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, AUTHORITY_YEARS);
    Ok(params)
}

fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

/// From yesterday, so that a client whose clock is behind accepts it.
fn valid_for(params: &mut CertificateParams, years: i32) {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let from = today.yesterday().unwrap_or(today);
    let day = |date: jiff::civil::Date, years: i32| {
        // 29 February does not exist in most years; the 28th always does.
        date_time_ymd(
            i32::from(date.year()) + years,
            date.month().unsigned_abs(),
            date.day().unsigned_abs().min(28),
        )
    };
    params.not_before = day(from, 0);
    params.not_after = day(from, years);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_kept_and_its_signatures_verify() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::choose(Some(dir.path().into()), None, true).unwrap();
        let first = Pki::open(&data).unwrap();
        let again = Pki::open(&data).unwrap();
        assert_eq!(first.authority_pem(), again.authority_pem());
        assert_eq!(first.service_account_key().unwrap(), again.service_account_key().unwrap());

        let client = again.client("ada", "system:masters").unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(first.authority_der().unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .unwrap();
        let now = rustls::pki_types::UnixTime::now();
        verifier.verify_client_cert(&client.certificate, &[], now).unwrap();

        let other = tempfile::tempdir().unwrap();
        let stranger = Pki::open(&DataDir::choose(Some(other.path().into()), None, true).unwrap()).unwrap();
        let forged = stranger.client("ada", "system:masters").unwrap();
        assert!(verifier.verify_client_cert(&forged.certificate, &[], now).is_err());
    }
}
