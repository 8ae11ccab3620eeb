//! Serves the API over TLS on loopback, for trying real clients before (or without) the whole platform:
//! `cargo run -p apiserver --example serve -- DIR [PORT]` writes `DIR/kubeconfig` and keeps its data in `DIR/state.db`
//! (in memory with `--memory`). There are no controllers and no nodes; a ServiceAccount `default` is made by hand.

use apiserver::{ApiServer, BoxError, Config, Identity, PeerCertificate};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use std::{path::PathBuf, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

struct Issued {
    certificate: String,
    key: KeyPair,
}

fn issue(issuer: &Issuer<'_, KeyPair>, name: &str, organization: &str) -> Result<Issued, BoxError> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    Ok(Issued { certificate: params.signed_by(&key, issuer)?.pem(), key })
}

fn kubeconfig(port: u16, ca: &str, admin: &Issued) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let (ca, certificate) = (STANDARD.encode(ca), STANDARD.encode(&admin.certificate));
    let key = STANDARD.encode(admin.key.serialize_pem());
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: serve\nclusters:\n- name: serve\n  cluster:\n    \
         server: https://127.0.0.1:{port}\n    certificate-authority-data: {ca}\nusers:\n- name: admin\n  user:\n    \
         client-certificate-data: {certificate}\n    client-key-data: {key}\ncontexts:\n- name: serve\n  context:\n    \
         cluster: serve\n    user: admin\n"
    )
}

fn acceptor(ca: &str, server: &Issued) -> Result<TlsAcceptor, BoxError> {
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let chain = vec![CertificateDer::from_pem_slice(server.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(server.key.serialize_pem().as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(api: Arc<ApiServer>, listener: TcpListener, tls: TlsAcceptor) -> Result<(), BoxError> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (api, tls) = (api.clone(), tls.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
            let service =
                hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                    if let Some(peer) = &peer {
                        request.extensions_mut().insert(PeerCertificate(peer.to_vec()));
                    }
                    let api = api.clone();
                    let request = request.map(|body| body.map_err(BoxError::from).boxed_unsync());
                    async move { Ok::<_, std::convert::Infallible>(api.handle(request).await) }
                });
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ended = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let memory = arguments.iter().any(|own| own == "--memory");
    arguments.retain(|own| own != "--memory");
    let dir = PathBuf::from(arguments.first().ok_or("usage: serve DIR [PORT] [--memory]")?);
    let port: u16 = arguments.get(1).map_or(Ok(0), |port| port.parse())?;
    std::fs::create_dir_all(&dir)?;

    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "serve-ca");
    let key = KeyPair::generate()?;
    let ca = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    let (server, admin) = (issue(&issuer, "serve", "serve")?, issue(&issuer, "admin", "system:masters")?);

    let store = if memory { store::memory() } else { store::sqlite(&dir.join("state.db"))? };
    let signer = KeyPair::generate()?.serialize_der();
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let config = Config { advertise: Some(address), ..Config::new(store, signer, ca.clone()) };
    let api = ApiServer::start(config).await?;
    let account = r#"{"metadata":{"name":"default"}}"#;
    let mut request = http::Request::post("/api/v1/namespaces/default/serviceaccounts");
    request = request.extension(Identity::master("serve"));
    api.handle(request.body(apiserver::full(account))?).await;
    std::fs::write(dir.join("kubeconfig"), kubeconfig(address.port(), &ca, &admin))?;
    println!("serving on https://{address}; export KUBECONFIG={}", dir.join("kubeconfig").display());
    serve(api, listener, acceptor(&ca, &server)?).await
}
