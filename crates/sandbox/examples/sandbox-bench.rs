//! How long a container takes from the request to the first byte of its output, beside `runc run` on the same root
//! file system in the same run. Needs root, `cc` and `runc`. Prints one JSON line for each figure.
use sandbox::{ContainerSpec, Host, InstanceSpec, Mount, PodSpec, Reach, Root, Settings};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Starts of each kind; the median of them is the figure.
const RUNS: usize = 40;

/// The promise of the room, in milliseconds, and how many times faster than runc that has to be.
const TARGET_MS: f64 = 5.0;
const TARGET_RATIO: f64 = 5.0;

const HELLO: &str = "#include <unistd.h>\nint main() { return write(1, \"hello\\n\", 6) != 6; }\n";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == "shim") {
        sandbox::supervisor_main(&args[1..]);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(bench());
}

struct Bench {
    dir: PathBuf,
    host: Arc<Host>,
    pipe: PathBuf,
    /// Both ends of the pipe that stands in for the log file: opening it never waits.
    log: File,
}

async fn bench() {
    let dir = std::env::temp_dir().join(format!("sandbox-bench-{}", std::process::id()));
    make_root(&dir);
    let owner = format!("bench{}", std::process::id());
    let settings =
        net::Settings { dir: dir.join("net"), owner: owner.clone(), pool: 4, expose_node_ports: false };
    let network = Arc::new(net::Network::open(settings).await.expect("the network"));
    let images = Arc::new(sandbox::image::Store::open(&dir.join("images")).expect("the image store"));
    images.build(&dir.join("bundle/rootfs"), "hello:1", sandbox::image::Config::default()).expect("an image");
    let program = std::env::current_exe().expect("this program");
    let settings = Settings { dir: dir.clone(), owner, program, network: network.clone(), images, parked: 2 };
    let host = Host::open(settings).await.expect("the host");
    let pipe = dir.join("log");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    let log = File::options().read(true).write(true).open(&pipe).expect("a pipe");
    let bench = Bench { dir: dir.clone(), host: host.clone(), pipe, log };

    let (mut container, mut whole, mut instance, mut runc) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let pod = host.start_pod(pod_spec("shared")).await.expect("a pod");
    for run in 0..RUNS {
        pause().await;
        container.push(bench.container(&pod, run).await);
        pause().await;
        whole.push(bench.pod_and_container(run).await);
        pause().await;
        instance.push(bench.instance(run).await);
        pause().await;
        runc.extend(bench.runc(run));
    }
    host.close(true).await.expect("an orderly end");
    network.close(true).await;
    let _ = std::fs::remove_dir_all(&dir);
    let best = least(&container);
    let (container, whole, instance) = (median(container), median(whole), median(instance));
    print("container_first_byte_ms", container, "ms", Some(TARGET_MS), container <= TARGET_MS);
    print("container_first_byte_least_ms", best, "ms", None, true);
    print("pod_and_container_first_byte_ms", whole, "ms", None, true);
    print("instance_first_byte_ms", instance, "ms", Some(TARGET_MS), instance <= TARGET_MS);
    if runc.is_empty() {
        eprintln!("runc is not installed: nothing to compare with");
        return;
    }
    print("runc_first_byte_least_ms", least(&runc), "ms", None, true);
    let runc = median(runc);
    print("runc_first_byte_ms", runc, "ms", None, true);
    let ratio = runc / container;
    print("container_times_faster_than_runc", ratio, "x", Some(TARGET_RATIO), ratio >= TARGET_RATIO);
    print("pod_and_container_times_faster_than_runc", runc / whole, "x", None, true);
}

impl Bench {
    async fn container(&self, pod: &sandbox::Pod, run: usize) -> f64 {
        let spec = ContainerSpec {
            name: "hello".into(),
            attempt: run as u32,
            root: Root::Image("hello:1".into()),
            argv: vec!["/hello".into()],
            log_path: self.pipe.clone(),
            ..ContainerSpec::default()
        };
        let byte = first_byte(self.log.try_clone().expect("a descriptor"));
        let start = Instant::now();
        pod.start_container(spec).await.expect("a container");
        let took = byte.await.expect("a reader").duration_since(start);
        while pod.containers().iter().any(|r| matches!(r.state, sandbox::ContainerState::Running { .. })) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        millis(took)
    }

    async fn pod_and_container(&self, run: usize) -> f64 {
        let start = Instant::now();
        let pod = self.host.start_pod(pod_spec(&format!("pod{run}"))).await.expect("a pod");
        let started = start.elapsed();
        let took = millis(started) + self.container(&pod, 0).await;
        pod.remove().await.expect("removal");
        took
    }

    async fn instance(&self, run: usize) -> f64 {
        let spec = InstanceSpec {
            id: format!("i{run}"),
            argv: vec!["/var/task/hello".into()],
            mounts: vec![Mount::bind(self.dir.join("bundle/rootfs"), "/var/task", true)],
            memory_bytes: 128 << 20,
            api_port: Some(9001),
            reach: Reach::Nothing,
            ..InstanceSpec::default()
        };
        let start = Instant::now();
        let instance = self.host.start_instance(spec).await.expect("an instance");
        let logs = instance.take_logs().expect("logs");
        let took = first_byte(File::from(logs)).await.expect("a reader").duration_since(start);
        instance.wait().await;
        millis(took)
    }

    fn runc(&self, run: usize) -> Option<f64> {
        let start = Instant::now();
        let mut child = Command::new("runc")
            .args(["run", "--bundle"])
            .arg(self.dir.join("bundle"))
            .arg(format!("sandbox-bench-{}-{run}", std::process::id()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let read = child.stdout.take()?.read_exact(&mut [0]);
        let took = start.elapsed();
        child.wait().ok()?;
        read.ok().map(|()| millis(took))
    }
}

/// Lets what the last start left behind in the kernel and in the pools settle, alike before every kind of start.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Reads one byte, and the rest of its line, on a thread of its own; says when the byte came.
fn first_byte(mut file: File) -> tokio::task::JoinHandle<Instant> {
    tokio::task::spawn_blocking(move || {
        let mut buffer = [0; 1024];
        let _ = file.read(&mut buffer);
        Instant::now()
    })
}

fn make_root(dir: &Path) {
    let root = dir.join("bundle/rootfs");
    std::fs::create_dir_all(&root).expect("a directory");
    std::fs::write(dir.join("hello.c"), HELLO).expect("a file");
    let built = Command::new("cc")
        .args(["-static", "-O2", "-o"])
        .arg(root.join("hello"))
        .arg(dir.join("hello.c"))
        .status();
    assert!(built.expect("cc (Debian: gcc)").success());
    if Command::new("runc").arg("spec").current_dir(dir.join("bundle")).status().is_ok() {
        let config = dir.join("bundle/config.json");
        let text = std::fs::read_to_string(&config).expect("runc's specification");
        let text = text.replace("\"terminal\": true", "\"terminal\": false").replace("\"sh\"", "\"/hello\"");
        std::fs::write(&config, text).expect("runc's specification");
    }
}

fn pod_spec(id: &str) -> PodSpec {
    PodSpec { id: id.into(), hostname: id.into(), ..PodSpec::default() }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What an idle machine would give, as far as a busy one lets it be seen.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn print(name: &str, value: f64, unit: &str, target: Option<f64>, ok: bool) {
    let target = target.map_or("null".to_owned(), |target| target.to_string());
    println!(
        "{{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target},\"ok\":{ok}}}"
    );
}
