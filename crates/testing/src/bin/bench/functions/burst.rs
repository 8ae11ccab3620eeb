//! Bursts from zero: very many invocations at once, each a second long; and how the platform answers others meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use client::k8s_openapi::api::core::v1::Namespace;
use client::kube::api::{Api, ListParams};
use testing::binary::Dory;

use super::door::Door;
use crate::processes::descendants;
use crate::{load, row};

const EVENT: &[u8] = br#"{"waitMs":1000}"#;
/// Between two looks at the Kubernetes API while the burst runs.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn run(dory: &Dory, door: &Arc<Door>, bootstrap: &Path) -> Result<()> {
    super::cold::deploy(dory, "burst", 3, bootstrap)?;
    frozen(dory, door).await?;
    burst(dory, door, "burst-1", 1000, 10.0).await?;
    burst(dory, door, "burst-2", 3000, 30.0).await
}

/// What one instance of the static function holds for itself while it waits.
async fn frozen(dory: &Dory, door: &Door) -> Result<()> {
    door.invoke("burst-0").await?;
    // Longer than an idle instance runs on before it is frozen.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let spawned = descendants(dory.pid()?)?;
    let mut sizes: Vec<f64> = Vec::new();
    for pid in spawned {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        if program.ends_with("var/task/bootstrap") {
            sizes.extend(private_kb(pid));
        }
    }
    ensure!(!sizes.is_empty(), "no instance of the static function was found");
    sizes.sort_by(f64::total_cmp);
    row::at_most("frozen_static_elf_private_memory", sizes[sizes.len() / 2] * 1024.0 / 1e6, "MB", 1.0);
    Ok(())
}

/// All that is mapped nowhere else: changed pages, and those of the program's file that no other instance has mapped too.
fn private_kb(pid: i32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |line: &str| line.split_whitespace().nth(1)?.parse::<f64>().ok();
    Some(rollup.lines().filter(|line| line.starts_with("Private_")).filter_map(field).sum())
}

async fn burst(dory: &Dory, door: &Arc<Door>, function: &str, count: usize, target_s: f64) -> Result<()> {
    let over = Arc::new(AtomicBool::new(false));
    let (kubeconfig, until) = (dory.kubeconfig(), over.clone());
    let others = tokio::task::spawn_blocking(move || load::block_on_alone(looks(kubeconfig, until)));
    let began = Instant::now();
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let (door, function) = (door.clone(), function.to_owned());
            tokio::spawn(async move { door.invoke_with(&function, EVENT).await })
        })
        .collect();
    let (mut succeeded, mut throttled, mut other) = (0, 0, BTreeMap::<String, usize>::new());
    for call in calls {
        match call.await? {
            Ok(answer) if answer.status == 200 && !answer.failed => succeeded += 1,
            Ok(answer) if answer.status == 429 => throttled += 1,
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
                *other.entry(text).or_default() += 1;
            }
            Err(error) => *other.entry(format!("{error:#}")).or_default() += 1,
        }
    }
    let took = began.elapsed().as_secs_f64();
    over.store(true, Ordering::Release);
    let mut others = others.await??;
    for (what, times) in &other {
        eprintln!("burst of {count}: {times} × {what}");
    }
    row::at_most(&format!("burst_{count}_seconds"), took, "s", target_s);
    row::at_least(&format!("burst_{count}_succeeded"), f64::from(succeeded), "", count.min(1000) as f64);
    let answered = f64::from(succeeded + throttled);
    row::at_least(&format!("burst_{count}_succeeded_or_throttled"), answered, "", count as f64);
    row::median_ms(&format!("burst_{count}_kubernetes_list_p50"), &mut others, 100.0);
    let slowest = row::quantile_ms(&mut others, 1.0);
    row::at_most(&format!("burst_{count}_kubernetes_list_max"), slowest, "ms", 100.0);
    Ok(())
}

/// What `kubectl get` asks, again and again until the burst is over. On a thread of its own: whoever looks is not the one
/// who signs three thousand requests meanwhile.
async fn looks(kubeconfig: PathBuf, over: Arc<AtomicBool>) -> Result<Vec<Duration>> {
    let namespaces: Api<Namespace> = Api::all(client::from_kubeconfig(&kubeconfig).await?);
    let mut took = Vec::new();
    while !over.load(Ordering::Acquire) {
        let began = Instant::now();
        namespaces.list(&ListParams::default()).await?;
        took.push(began.elapsed());
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(took)
}
