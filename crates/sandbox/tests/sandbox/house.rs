//! A network, an image store and a host for one test, and their end, whatever happens.
use sandbox::{ContainerRecord, ContainerSpec, ContainerState, Host, Pod, PodSpec, Root, Settings};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(120);

pub struct House {
    host: Option<Arc<Host>>,
    pub owner: String,
    pub dir: PathBuf,
    network: Option<Arc<net::Network>>,
    _dir: tempfile::TempDir,
    closed: bool,
}

pub fn fixture() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fixture-{}", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sandbox/fixture.c");
        let built = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&to).arg(source).status();
        assert!(built.expect("cc is needed (Debian: gcc)").success());
        to
    })
}

impl House {
    pub async fn open() -> House {
        let mut house = House::open_without_host().await;
        house.open_again().await;
        house
    }

    pub async fn open_without_host() -> House {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let owner = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for sub in ["bin", "etc", "tmp", "data"] {
            std::fs::create_dir_all(root.join(sub)).unwrap();
        }
        std::fs::copy(fixture(), root.join("bin/fix")).unwrap();
        std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n")
            .unwrap();
        std::fs::write(root.join("etc/group"), "root:x:0:\nstaff:x:50:app\n").unwrap();
        std::fs::write(root.join("etc/not-a-program"), "hello").unwrap();
        let images = Arc::new(sandbox::image::Store::open(&dir.path().join("images")).unwrap());
        images.build(&root, "fix:1", sandbox::image::Config::default()).unwrap();
        House { host: None, owner, dir: dir.path().to_owned(), network: None, _dir: dir, closed: false }
    }

    pub fn host(&self) -> &Arc<Host> {
        self.host.as_ref().unwrap()
    }

    /// Opens network and host on what is there: what the start of a dory process does.
    pub async fn open_again(&mut self) {
        self.forget_host().await;
        let settings = net::Settings {
            dir: self.dir.join("net"),
            owner: self.owner.clone(),
            pool: 2,
            expose_node_ports: false,
        };
        let network = Arc::new(net::Network::open(settings).await.unwrap());
        let settings = Settings {
            dir: self.dir.clone(),
            owner: self.owner.clone(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_sandbox-shim")),
            network: network.clone(),
            images: Arc::new(sandbox::image::Store::open(&self.dir.join("images")).unwrap()),
            parked: 1,
        };
        self.network = Some(network);
        self.host = Some(Host::open(settings).await.unwrap());
    }

    /// Lets go of everything as the end of a dory process does; pods run on.
    pub async fn forget_host(&mut self) {
        if let Some(host) = self.host.take() {
            host.close(false).await.unwrap();
        }
        if let Some(network) = self.network.take() {
            network.close(false).await;
        }
    }

    pub async fn pod(&self, id: &str) -> Arc<Pod> {
        let spec = PodSpec { id: id.into(), hostname: format!("{id}-host"), ..PodSpec::default() };
        self.host().start_pod(spec).await.unwrap()
    }

    pub fn container(&self, name: &str, argv: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: name.into(),
            root: Root::Image("fix:1".into()),
            argv: argv.iter().map(|word| word.to_string()).collect(),
            log_path: self.log_path(name),
            ..ContainerSpec::default()
        }
    }

    pub fn log_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("logs/{name}/0.log"))
    }

    /// The text that a container has logged so far, without the head of each line.
    pub fn logged(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.log_path(name)).unwrap_or_default();
        text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect()
    }

    /// Runs a container to its end and gives its log.
    pub async fn run(&self, pod: &Pod, spec: ContainerSpec) -> (ContainerState, String) {
        let name = spec.name.clone();
        pod.start_container(spec).await.unwrap();
        let state = ended(pod, &name).await;
        (state, self.logged(&name))
    }

    pub async fn close(mut self) {
        self.close_now().await;
        assert_eq!(traces(&self.owner, &self.dir), Vec::<String>::new());
    }

    async fn close_now(&mut self) {
        self.closed = true;
        if self.host.is_none() {
            self.open_again().await;
        }
        self.host().close(true).await.unwrap();
        if let Some(network) = &self.network {
            network.close(true).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if !self.closed {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.close_now()));
        }
    }
}

/// Waits for a container's end.
pub async fn ended(pod: &Pod, name: &str) -> ContainerState {
    wait_for(&format!("the end of {name}"), || {
        let record = record(pod, name)?;
        matches!(record.state, ContainerState::Exited { .. }).then_some(record.state)
    })
    .await
}

pub fn record(pod: &Pod, name: &str) -> Option<ContainerRecord> {
    pod.containers().into_iter().find(|record| record.name == name)
}

pub async fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < LONG, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What is left on the machine of an owner: control groups, mounts, processes.
pub fn traces(owner: &str, dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for tree in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let group = tree.path().join(format!("dory-{owner}"));
        if group.exists() {
            found.push(group.display().to_string());
        }
    }
    let dir = dir.display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains(&dir)).map(str::to_owned));
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if line.contains(&dir) {
            found.push(format!("process {}: {line}", process.file_name().display()));
        }
    }
    found
}
