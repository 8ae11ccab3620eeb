//! Controllers, scheduler and a node that only says that pods run, against the API server of a kubeconfig:
//! `cargo run -p testing --bin minds -- KUBECONFIG`, for trying real clients without containers. Runs until
//! it is interrupted.

use anyhow::{Context, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).context("usage: minds KUBECONFIG")?;
    let client = client::from_kubeconfig(path.as_ref()).await?;
    let options = controllers::Options { ca_pem: Some("a certificate".into()), lease: None };
    let controllers = controllers::start(client.clone(), options);
    let scheduler = scheduler::start(client.clone(), scheduler::Options::default());
    testing::house::fake_node(client).await?;
    tokio::signal::ctrl_c().await?;
    scheduler.stop().await;
    controllers.stop().await;
    Ok(())
}
