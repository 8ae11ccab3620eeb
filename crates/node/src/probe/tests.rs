//! Probes against real listeners and commands on a fake machine.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::runtime::Runtime;
use crate::runtime::fake::Fake;

async fn probe(fake: &Fake, purpose: Purpose, container: Value) -> Probe {
    let spec = sandbox::PodSpec { id: "p".into(), ..<_>::default() };
    let sandbox = fake.start_pod(spec).await.expect("a pod");
    let container = serde_json::from_value(container).expect("a container");
    let target = Target { sandbox, container, host: Ipv4Addr::LOCALHOST, since: Timestamp::now() };
    Probe::new(purpose, target).expect("it has that probe")
}

/// Answers every request with this status.
async fn server(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ =
                stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
        }
    });
    port
}

#[tokio::test]
async fn http_answers_decide() {
    let fake = Fake::default();
    for (status, healthy) in [("200 OK", true), ("302 Found", true), ("500 Oops", false)] {
        let port = server(status).await;
        let get = json!({ "port": port, "host": "127.0.0.1", "path": "healthz" });
        let container = json!({ "name": "c", "readinessProbe": { "httpGet": get, "failureThreshold": 1 } });
        let verdict = probe(&fake, Purpose::Readiness, container).await.next().await.expect("a verdict");
        assert_eq!(verdict.healthy, Some(healthy), "{status}");
        if !healthy {
            let expected = "Readiness probe failed: HTTP probe failed with statuscode: 500";
            assert_eq!(verdict.events, [("Unhealthy", expected.to_owned())]);
        }
    }
}

#[tokio::test]
async fn a_port_that_opens_late_is_found_within_the_first_period() {
    // Bound already, so that nobody else gets it, and not listened on yet.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let port = socket.local_addr().expect("bound").port();
    let tcp = json!({ "port": port, "host": "127.0.0.1" });
    let container = json!({ "name": "c", "readinessProbe": { "tcpSocket": tcp, "periodSeconds": 60 } });
    let mut probe = probe(&Fake::default(), Purpose::Readiness, container).await;
    let first = probe.next().await.expect("a verdict");
    assert_eq!(first.events.len(), 1, "the first try counts");
    let _listener = socket.listen(1).expect("listening");
    let began = Instant::now();
    while probe.next().await.expect("goes on").healthy != Some(true) {}
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_failing_command_ends_a_liveness_probe() {
    let fake = Fake::default();
    fake.exits("check", 1);
    let exec = json!({ "exec": { "command": ["check"] }, "failureThreshold": 1 });
    let mut probe = probe(&fake, Purpose::Liveness, json!({ "name": "c", "livenessProbe": exec })).await;
    assert_eq!(probe.next().await.expect("a verdict").healthy, Some(false));
    assert!(probe.next().await.is_none());
}
