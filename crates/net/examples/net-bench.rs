//! Measures what this room promises, on this host's own network, and prints one JSON line per figure. Run as root;
//! leaves nothing behind.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use net::{Network, PortEntry, Protocol, ServiceEntry, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let owner = format!("bench-{}", std::process::id());
    let settings = Settings { dir: dir.path().join("net"), owner, pool: 16, expose_node_ports: false };
    let started = Instant::now();
    let network = Network::open(settings).await?;
    report("network open", started.elapsed(), 20.0);
    let measured = measure(&network).await;
    let started = Instant::now();
    network.close(true).await;
    report("network removal", started.elapsed(), 1000.0);
    Ok(measured?)
}

async fn measure(network: &Network) -> Result<(), net::Error> {
    leases(network).await?;
    for count in [1, 100, 1000] {
        network.apply_services(Vec::new()).await?;
        let services = services(network, count);
        let started = Instant::now();
        network.apply_services(services.clone()).await?;
        report(
            &format!("apply {count} services x 3 endpoints"),
            started.elapsed(),
            1.0 + count as f64 * 0.05,
        );
        let mut times = Vec::new();
        for round in 0..50 {
            let mut changed = services.clone();
            changed[0].ports[0].endpoints[0] = SocketAddrV4::new(Ipv4Addr::new(10, 42, 200, round), 80);
            let started = Instant::now();
            network.apply_services(changed).await?;
            times.push(started.elapsed());
        }
        report(&format!("change one endpoint of {count} services, p50"), median(times), 1.0);
    }
    network.apply_services(Vec::new()).await
}

/// Leases with the pool full, then without one.
async fn leases(network: &Network) -> Result<(), net::Error> {
    // The pools fill in the background; 48 networks of which 32 have links.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut pooled = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        let lease = network.lease().await?;
        pooled.push(started.elapsed());
        network.release(lease).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    report("lease from the pool, p50", median(pooled), 0.2);
    let (mut made, mut leases) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let started = Instant::now();
        leases.push(network.lease().await?);
        made.push(started.elapsed());
    }
    report("lease with the pool drained, p50", median(made.split_off(20)), 5.0);
    for lease in leases {
        network.release(lease).await;
    }
    Ok(())
}

fn services(network: &Network, count: usize) -> Vec<ServiceEntry> {
    let base = network.dns_address().to_bits() + 100;
    (0..count as u32)
        .map(|index| {
            let pods = (0..3)
                .map(|pod| SocketAddrV4::new(Ipv4Addr::from_bits(0x0a2a_0000 + index * 3 + pod + 2), 80));
            let port =
                PortEntry { protocol: Protocol::Tcp, port: 80, node_port: None, endpoints: pods.collect() };
            let cluster_ip = Ipv4Addr::from_bits(base + index);
            ServiceEntry {
                name: format!("bench/{index}"),
                cluster_ip,
                ports: vec![port],
                session_affinity: None,
            }
        })
        .collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn report(name: &str, time: Duration, target_ms: f64) {
    let value = time.as_secs_f64() * 1000.0;
    let line = serde_json::json!({
        "name": name, "value": (value * 1000.0).round() / 1000.0, "unit": "ms", "target": target_ms, "ok": value <= target_ms,
    });
    println!("{line}");
}
