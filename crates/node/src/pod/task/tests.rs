//! Whole pods on a fake machine and a scripted API: from bound to gone.

use std::sync::Mutex;
use std::time::Duration;

use client::{Caches, Objects, Recorder};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower::util::BoxCloneService;

use super::*;
use crate::container::resolv::Resolver;
use crate::pod::status::Host;
use crate::runtime::fake::Fake;
use crate::sources::Sources;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the API was told.
#[derive(Default)]
struct Api {
    objects: Mutex<std::collections::BTreeMap<String, Value>>,
    statuses: Mutex<Vec<Value>>,
    deletes: Mutex<Vec<String>>,
    events: Mutex<Vec<String>>,
}

impl Api {
    fn answer(&self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let lists = |kind: &str| json!({ "kind": kind, "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] });
        match (method.as_str(), path) {
            ("PATCH", path) if path.ends_with("/status") => {
                self.statuses.lock().expect("no panic").push(body["status"].clone());
                (200, json!({ "metadata": {} }))
            }
            ("DELETE", path) => {
                self.deletes.lock().expect("no panic").push(path.to_owned());
                (200, json!({ "metadata": {} }))
            }
            ("POST", path) if path.ends_with("/events") => {
                let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
                self.events.lock().expect("no panic").push(format!("{} {}", text("reason"), text("message")));
                (201, json!({ "metadata": {} }))
            }
            ("POST", path) if path.ends_with("/token") => {
                let status = json!({ "token": "jwt", "expirationTimestamp": "2999-01-01T00:00:00Z" });
                (201, json!({ "metadata": {}, "status": status }))
            }
            ("GET", "/api/v1/configmaps" | "/api/v1/secrets" | "/api/v1/services") => (200, lists("List")),
            ("GET", path) => match self.objects.lock().expect("no panic").get(path) {
                Some(object) => (200, object.clone()),
                None => {
                    (404, json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404 }))
                }
            },
            _ => (200, json!({ "metadata": {} })),
        }
    }
}

struct World {
    api: Arc<Api>,
    fake: Fake,
    ground: Arc<Ground>,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let api = Arc::new(Api::default());
    let served = api.clone();
    let service = tower::service_fn(move |request: Request<client::Body>| {
        let api = served.clone();
        async move {
            let (parts, body) = request.into_parts();
            if parts.uri.query().unwrap_or_default().contains("watch=true") {
                std::future::pending::<()>().await;
            }
            let bytes = body.collect().await?.to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            let (code, answer) = api.answer(&parts.method, parts.uri.path(), &body);
            let body = Full::new(bytes::Bytes::from(answer.to_string()));
            let body = body.map_err(|never| match never {}).boxed_unsync();
            Ok::<_, client::BoxError>(Response::builder().status(code).body(body)?)
        }
    });
    let client = client::in_process(BoxCloneService::new(service));
    let caches = Caches::new(client.clone());
    let dir = tempfile::tempdir().expect("a directory");
    let fake = Fake::default();
    fake.add_image("app");
    let ground = Ground {
        node: "node1".to_owned(),
        host: Host { address: "127.0.0.1".to_owned() },
        runtime: Arc::new(fake.clone()),
        pods: Objects::of::<api::Pod>(&client),
        sources: Sources::new(&caches),
        claims: crate::claims::Claims::new(caches.client(), "node-1"),
        services: caches.of::<api::Service>(),
        recorder: Recorder::start_on(&client, "kubelet", "node1"),
        client,
        dir: dir.path().to_owned(),
        cluster_dns: Ipv4Addr::new(10, 43, 0, 10),
        resolver: Resolver::default(),
        cpu_milli: 2000,
        memory_bytes: 1 << 30,
    };
    World { api, fake, ground: Arc::new(ground), _dir: dir }
}

fn pod(spec: Value) -> Value {
    json!({ "metadata": { "name": "p", "namespace": "ns", "uid": "u1" }, "spec": spec })
}

/// A pod of one container of the image that is there.
fn one(command: &str) -> Value {
    pod(json!({ "containers": [{ "name": "a", "image": "app", "command": [command] }] }))
}

struct Running {
    handle: Handle,
    join: tokio::task::JoinHandle<bool>,
}

impl World {
    fn start(&self, pod: &Value, sandbox: Option<Arc<dyn Sandbox>>) -> Running {
        let pod = serde_json::from_value(pod.clone()).expect("a pod");
        let (task, handle) = Task::new(self.ground.clone(), Arc::new(pod), sandbox);
        Running { handle, join: tokio::spawn(task.run()) }
    }

    /// Waits until the API was told a status that satisfies `done`, and gives all that was told, merged.
    async fn wait(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let search = async {
            loop {
                let mut merged = json!({});
                for patch in self.api.statuses.lock().expect("no panic").iter() {
                    for (name, value) in patch.as_object().into_iter().flatten() {
                        merged[name] = value.clone();
                    }
                }
                if done(&merged) {
                    return merged;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| {
            panic!("waited in vain for {what}: {:?}", self.api.statuses.lock().expect("no panic"))
        })
    }

    async fn wait_event(&self, text: &str) {
        let search = async {
            while !self.api.events.lock().expect("no panic").iter().any(|event| event.contains(text)) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| {
            panic!("waited in vain for {text}: {:?}", self.api.events.lock().expect("no panic"))
        });
    }
}

fn main_state(status: &Value) -> &Value {
    &status["containerStatuses"][0]["state"]
}

fn is_ready(status: &Value) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn deleted(pod: &Value, grace: i64) -> Arc<Value> {
    let mut pod = pod.clone();
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    Arc::new(pod)
}

// The clock stands while something is done: on a busy machine a status may rightly be written before the pod is ready.
#[tokio::test(start_paused = true)]
async fn a_pod_is_ready_with_one_write_and_goes_gracefully() {
    let world = world();
    let pod = one("serve");
    let running = world.start(&pod, None);
    let status = world.wait("ready", is_ready).await;
    assert_eq!((&status["phase"], &status["podIP"]), (&json!("Running"), &json!("10.42.0.2")));
    assert_eq!(world.api.statuses.lock().expect("no panic").len(), 1, "one write on the way to ready");
    running.handle.mailbox.post(|news| news.pod = Some(deleted(&pod, 30)));
    assert!(running.join.await.expect("no bug"), "nothing is left");
    assert_eq!(world.fake.calls(), ["start pod p", "start a#0: serve", "stop a", "remove u1"]);
    assert_eq!(*world.api.deletes.lock().expect("no panic"), ["/api/v1/namespaces/ns/pods/p"]);
    let last = world.wait("the end", |status| status["phase"] == "Succeeded").await;
    assert_eq!(main_state(&last)["terminated"]["reason"], "Completed");
    for reason in ["Pulled", "Created", "Started", "Killing"] {
        world.wait_event(reason).await;
    }
}

#[tokio::test]
async fn a_deaf_container_is_killed_when_its_time_is_over() {
    let world = world();
    world.fake.deaf("serve");
    let pod = one("serve");
    let running = world.start(&pod, None);
    world.wait("ready", is_ready).await;
    running.handle.mailbox.post(|news| news.pod = Some(deleted(&pod, 3600)));
    world.wait_event("Stopping container a").await;
    // A second delete with less patience brings the kill forward.
    running.handle.mailbox.post(|news| news.pod = Some(deleted(&pod, 0)));
    assert!(running.join.await.expect("no bug"));
    assert!(world.fake.calls().contains(&"kill a".to_owned()));
    let last = world.wait("the end", |status| status["phase"] == "Failed").await;
    assert_eq!(main_state(&last)["terminated"]["exitCode"], 137);
}

#[tokio::test]
async fn a_crash_loop_waits_and_says_so() {
    let world = world();
    world.fake.exits("crash", 3);
    let running = world.start(&one("crash"), None);
    let waits = |status: &Value| main_state(status)["waiting"]["reason"] == "CrashLoopBackOff";
    let status = world.wait("back-off", waits).await;
    let container = &status["containerStatuses"][0];
    assert_eq!(
        (&container["restartCount"], &container["lastState"]["terminated"]["exitCode"]),
        (&json!(1), &json!(3))
    );
    let message = "back-off 10s restarting failed container=a pod=p_ns(u1)";
    assert_eq!(container["state"]["waiting"]["message"], message);
    world.wait_event("Back-off restarting failed container a in pod p_ns(u1)").await;
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_missing_image_is_started_as_soon_as_it_is_there() {
    let world = world();
    let pod = pod(json!({ "containers": [{ "name": "a", "image": "late" }] }));
    let running = world.start(&pod, None);
    let status =
        world.wait("no image", |status| main_state(status)["waiting"]["reason"] == "ErrImagePull").await;
    let message = main_state(&status)["waiting"]["message"].as_str().expect("a message");
    assert!(message.contains("dory image build"), "{message}");
    world.fake.add_image("late");
    running.handle.mailbox.post(|news| news.images = true);
    world.wait("ready", is_ready).await;
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_missing_config_map_holds_the_container_until_it_comes() {
    let world = world();
    let from = json!([{ "configMapRef": { "name": "settings" } }]);
    let pod = pod(json!({ "containers": [{ "name": "a", "image": "app", "envFrom": from }] }));
    let running = world.start(&pod, None);
    let held = |status: &Value| main_state(status)["waiting"]["reason"] == "CreateContainerConfigError";
    let status = world.wait("held", held).await;
    assert_eq!(main_state(&status)["waiting"]["message"], "configmap \"settings\" not found");
    let path = "/api/v1/namespaces/ns/configmaps/settings".to_owned();
    let map = json!({ "metadata": { "name": "settings", "namespace": "ns" }, "data": { "A": "1" } });
    world.api.objects.lock().expect("no panic").insert(path, map);
    running.handle.mailbox.post(|news| news.sources = true);
    world.wait("ready", is_ready).await;
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_job_succeeds_and_gives_its_sandbox_back() {
    let world = world();
    world.fake.exits("work", 0);
    let mut pod = one("work");
    pod["spec"]["restartPolicy"] = json!("Never");
    let running = world.start(&pod, None);
    let status = world.wait("success", |status| status["phase"] == "Succeeded").await;
    assert_eq!(main_state(&status)["terminated"]["exitCode"], 0);
    let removed = async {
        while !world.fake.calls().contains(&"remove u1".to_owned()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, removed).await.expect("removed");
    assert!(world.api.deletes.lock().expect("no panic").is_empty(), "the object stays");
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_a_start_error() {
    let world = world();
    let mut pod = one("nope");
    pod["spec"]["restartPolicy"] = json!("Never");
    let running = world.start(&pod, None);
    let status = world.wait("failure", |status| status["phase"] == "Failed").await;
    let ended = &main_state(&status)["terminated"];
    assert_eq!((&ended["reason"], &ended["exitCode"]), (&json!("StartError"), &json!(128)));
    assert!(
        ended["message"].as_str().is_some_and(|text| text.contains("executable file not found in $PATH"))
    );
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_running_pod_is_adopted_with_its_restarts() {
    let world = world();
    let mut pod = one("serve");
    let first = world.start(&pod, None);
    world.wait("ready", is_ready).await;
    world.fake.pod("u1").expect("runs").exit("a", 1, true);
    let again = |status: &Value| is_ready(status) && status["containerStatuses"][0]["restartCount"] == 1;
    let status = world.wait("restarted", again).await;
    let ended = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(ended["reason"], "OOMKilled");
    pod["status"] = status;
    first.handle.mailbox.post(|news| news.leave = true);
    assert!(!first.join.await.expect("no bug"), "the pod runs on");
    world.api.statuses.lock().expect("no panic").clear();

    let sandbox = world.fake.pod("u1").expect("runs on") as Arc<dyn Sandbox>;
    let second = world.start(&pod, Some(sandbox));
    let ready = |view: &View| view.containers.iter().all(|container| container.running);
    second.handle.view.clone().wait_for(ready).await.expect("adopted");
    assert_eq!(
        world.fake.calls().iter().filter(|call| call.starts_with("start a")).count(),
        2,
        "nothing new"
    );
    world.fake.pod("u1").expect("runs").exit("a", 1, false);
    world.wait("one more", |status| status["containerStatuses"][0]["restartCount"] == 2).await;
    second.handle.mailbox.post(|news| news.gone = true);
    assert!(second.join.await.expect("no bug"));
}

#[tokio::test]
async fn hooks_run_after_the_start_and_before_the_end() {
    let world = world();
    let lifecycle = json!({ "postStart": { "exec": { "command": ["hello"] } }, "preStop": { "exec": { "command": ["bye"] } } });
    let container = json!({ "name": "a", "image": "app", "command": ["serve"], "lifecycle": lifecycle });
    let pod = pod(json!({ "containers": [container] }));
    let running = world.start(&pod, None);
    world.wait("ready", is_ready).await;
    running.handle.mailbox.post(|news| news.pod = Some(deleted(&pod, 30)));
    assert!(running.join.await.expect("no bug"));
    let calls = world.fake.calls();
    assert_eq!(calls[2..], ["run in a: hello", "run in a: bye", "stop a", "remove u1"]);
}

#[tokio::test]
async fn a_deadline_ends_a_pod() {
    let world = world();
    let mut pod = one("serve");
    pod["spec"]["activeDeadlineSeconds"] = json!(1);
    let running = world.start(&pod, None);
    let status = world.wait("the deadline", |status| status["phase"] == "Failed").await;
    assert_eq!(status["reason"], "DeadlineExceeded");
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_dead_supervisor_is_replaced_and_the_pod_goes_on() {
    let world = world();
    let running = world.start(&one("serve"), None);
    world.wait("ready", is_ready).await;
    world.fake.pod("u1").expect("runs").die();
    let again = |status: &Value| is_ready(status) && status["containerStatuses"][0]["restartCount"] == 1;
    let status = world.wait("restarted", again).await;
    assert_eq!(status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    let calls = world.fake.calls();
    assert_eq!(calls[2..], ["remove u1", "start pod p", "start a#1: serve"]);
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_new_sandbox_begins_with_the_init_containers() {
    let world = world();
    let init = json!([{ "name": "prepare", "image": "app", "command": ["quick"] }]);
    let main = json!([{ "name": "a", "image": "app", "command": ["serve"] }]);
    world.fake.exits("quick", 0);
    let running = world.start(&pod(json!({ "initContainers": init, "containers": main })), None);
    world.wait("ready", is_ready).await;
    world.fake.pod("u1").expect("runs").die();
    let again = |status: &Value| is_ready(status) && status["containerStatuses"][0]["restartCount"] == 1;
    world.wait("restarted", again).await;
    let calls = world.fake.calls();
    let after = ["remove u1", "start pod p", "start prepare#1: quick", "start a#1: serve"];
    assert_eq!(calls[3..], after);
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}

#[tokio::test]
async fn a_changed_image_starts_the_container_again() {
    let world = world();
    world.fake.add_image("app:2");
    let mut pod = one("serve");
    pod["spec"]["restartPolicy"] = json!("Never");
    let running = world.start(&pod, None);
    world.wait("ready", is_ready).await;
    pod["spec"]["containers"][0]["image"] = json!("app:2");
    running.handle.mailbox.post(|news| news.pod = Some(Arc::new(pod)));
    let again = |status: &Value| is_ready(status) && status["containerStatuses"][0]["image"] == "app:2";
    let status = world.wait("restarted", again).await;
    assert_eq!(status["containerStatuses"][0]["restartCount"], 1);
    world.wait_event("Container a definition changed, will be restarted").await;
    running.handle.mailbox.post(|news| news.gone = true);
    assert!(running.join.await.expect("no bug"));
}
