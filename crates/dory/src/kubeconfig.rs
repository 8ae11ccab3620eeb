//! The kubeconfig of the data directory: one cluster, one administrator.

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::data_dir::DataDir;
use crate::pki::Pki;

/// RBAC's all-powerful group, as kubeadm gives it to the administrator.
const ADMINISTRATORS: &str = "system:masters";

/// Writes `kubeconfig` with a fresh client certificate. JSON is YAML too, and needs no quoting rules.
pub fn write(data: &DataDir, pki: &Pki, api_port: u16) -> Result<()> {
    let client = pki.client("dory-admin", ADMINISTRATORS)?;
    let encoded = |pem: &str| BASE64_STANDARD.encode(pem);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dory",
        "clusters": [{ "name": "dory", "cluster": {
            "server": format!("https://127.0.0.1:{api_port}"),
            "certificate-authority-data": encoded(pki.authority_pem()),
        }}],
        "users": [{ "name": "dory-admin", "user": {
            "client-certificate-data": encoded(&client.certificate_pem),
            "client-key-data": encoded(&client.key_pem),
        }}],
        "contexts": [{ "name": "dory", "context": { "cluster": "dory", "user": "dory-admin" } }],
    });
    data.write_json("kubeconfig", &config)
}
