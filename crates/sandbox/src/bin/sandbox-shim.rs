//! What the tests of this room need as processes of their own: the shims (in the platform the `dory` binary plays
//! this part), and a dory to be killed.
use sandbox::{ContainerSpec, Host, PodSpec, Root, Settings};
use std::path::PathBuf;
use std::sync::Arc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((role, rest)) if role == "shim" => sandbox::supervisor_main(rest),
        Some((role, [dir, owner])) if role == "victim" => be_killed(dir.into(), owner.clone()),
        _ => std::process::exit(64),
    }
}

/// Starts a pod `p1` with a container `count`, says so, and waits for its own end.
fn be_killed(dir: PathBuf, owner: String) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let settings =
            net::Settings { dir: dir.join("net"), owner: owner.clone(), pool: 1, expose_node_ports: false };
        let network = Arc::new(net::Network::open(settings).await.expect("the network"));
        let settings = Settings {
            program: std::env::current_exe().expect("this program"),
            images: Arc::new(sandbox::image::Store::open(&dir.join("images")).expect("the image store")),
            dir: dir.clone(),
            owner,
            network,
            parked: 1,
        };
        let host = Host::open(settings).await.expect("the host");
        let labels = [("name".to_owned(), "first".to_owned())].into();
        let spec = PodSpec { id: "p1".into(), hostname: "p1".into(), labels, ..PodSpec::default() };
        let pod = host.start_pod(spec).await.expect("a pod");
        let container = ContainerSpec {
            name: "count".into(),
            attempt: 2,
            root: Root::Image("fix:1".into()),
            argv: vec!["fix".into(), "count".into()],
            log_path: dir.join("logs/count/0.log"),
            ..ContainerSpec::default()
        };
        pod.start_container(container).await.expect("a container");
        println!("ready");
        std::future::pending::<()>().await;
    });
}
