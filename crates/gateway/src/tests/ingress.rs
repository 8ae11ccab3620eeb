//! Requests to pods.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::house::{House, LONG, api, ingress, service, slice};

/// An address where nobody listens, ours for as long as the socket is held.
fn dead() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

#[tokio::test]
async fn a_request_passes_with_its_body_and_the_right_headers() {
    let endpoint = Endpoint::start("one").await;
    let house = House::open(&api(&[endpoint.address])).await;
    let answer = house.ask("POST /a%20b?c=d HTTP/1.1\r\nHost: web.test:8080\r\nX-Mine: 1", "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("one POST /a%20b?c=d \"hello\"\n"), "{answer}");
    let (head, seen) = answer.split_once("\r\n\r\n").unwrap();
    for line in ["host: web.test:8080", "x-mine: 1", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"]
    {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    assert!(!seen.contains("connection:"), "{seen}");
    assert!(head.contains("x-from: one") && !head.contains("keep-alive: timeout"), "{head}");
}

#[tokio::test]
async fn endpoints_take_turns_and_one_that_is_gone_is_passed_over() {
    let (one, two) = (Endpoint::start("one").await, Endpoint::start("two").await);
    let house = House::open(&api(&[one.address, two.address])).await;
    let mut seen = HashSet::new();
    for _ in 0..4 {
        let answer = house.get("web.test", "/").await;
        seen.insert(answer.contains("x-from: one"));
    }
    assert_eq!(seen.len(), 2);

    let (gone, _held) = dead();
    let house = House::open(&api(&[gone, two.address])).await;
    for _ in 0..4 {
        let answer = house.ask("PUT / HTTP/1.1\r\nHost: web.test", "precious").await;
        assert!(answer.contains("two PUT / \"precious\""), "{answer}");
    }
    let mut text = String::new();
    house.gateway.metrics().write(&mut text);
    assert!(!text.contains("dory_gateway_retries_total 0\n"), "{text}");
}

#[tokio::test]
async fn what_fails_says_how() {
    let endpoint = Endpoint::start("one").await;
    let house = House::open(&api(&[endpoint.address])).await;
    let nowhere = house.get("other.test", "/").await;
    assert!(
        nowhere.starts_with("HTTP/1.1 404") && nowhere.contains("no Ingress has a route for other.test/"),
        "{nowhere}"
    );
    let unready = house.get("ready.test", "/").await;
    assert!(
        unready.starts_with("HTTP/1.1 503") && unready.contains("no endpoint of default/ready:80 is ready")
    );
    let broken = house.get("web.test", "/break").await;
    assert!(broken.starts_with("HTTP/1.1 502") && broken.contains("gave no valid answer"), "{broken}");
    let late = House::hasty(&api(&[endpoint.address])).await.get("web.test", "/hang").await;
    assert!(late.starts_with("HTTP/1.1 504"), "{late}");
    let (gone, _held) = dead();
    let house = House::open(&api(&[gone])).await;
    let refused = house.get("web.test", "/").await;
    assert!(refused.starts_with("HTTP/1.1 502") && refused.contains("could be reached"), "{refused}");
    let long = format!("GET / HTTP/1.1\r\nHost: web.test\r\nX-Long: {}", "x".repeat(100_000));
    assert!(house.ask(&long, "").await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn bodies_stream_both_ways_and_a_silent_one_is_cut() {
    let endpoint = Endpoint::start("one").await;
    let house = House::open(&api(&[endpoint.address])).await;
    let mut stream = TcpStream::connect(house.http).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = String::new();
    for piece in ["first", "other"] {
        stream.write_all(format!("5\r\n{piece}\r\n").as_bytes()).await.unwrap();
        // The piece comes back before the request is over.
        read_until(&mut stream, &mut received, piece).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut stream, &mut received, "\r\n0\r\n").await;

    let house = House::hasty(&api(&[endpoint.address])).await;
    let stalled = house.get("web.test", "/stall").await;
    assert!(stalled.contains("piece") && !stalled.ends_with("0\r\n\r\n"), "{stalled}");
}

async fn read_until(stream: &mut TcpStream, received: &mut String, wanted: &str) {
    let mut buffer = [0; 1024];
    while !received.contains(wanted) {
        let length = timeout(LONG, stream.read(&mut buffer)).await.expect("in time").unwrap();
        assert!(length > 0, "closed after {received}");
        received.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_a_pipe_until_the_gateway_stops() {
    let endpoint = Endpoint::start("one").await;
    let house = House::open(&api(&[endpoint.address])).await;
    let mut stream = TcpStream::connect(house.http).await.unwrap();
    let head = "GET /socket HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = String::new();
    read_until(&mut stream, &mut received, "\r\n\r\n").await;
    assert!(received.starts_with("HTTP/1.1 101") && received.contains("upgrade: echo"), "{received}");
    stream.write_all(b"ping").await.unwrap();
    read_until(&mut stream, &mut received, "ping").await;
    timeout(LONG, house.gateway.stop()).await.expect("stopping does not wait for open pipes");
    assert_eq!(timeout(LONG, stream.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn routes_follow_the_api_and_ingresses_learn_their_address() {
    let endpoint = Endpoint::start("one").await;
    let api = api(&[]);
    let house = House::open(&api).await;
    assert!(house.get("later.test", "/").await.starts_with("HTTP/1.1 404"));
    let began = Instant::now();
    while !["ingresses", "services", "endpointslices"].iter().all(|plural| api.is_watched(plural)) {
        assert!(began.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    api.add("services", &service("later"));
    api.add("endpointslices", &slice("later", 0, endpoint.address));
    api.add("ingresses", &ingress("later"));
    house.until("GET / HTTP/1.1\r\nHost: later.test", |answer| answer.contains("x-from: one")).await;
    let path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses/later/status";
    while !api.patches().iter().any(|(patched, _)| patched == path) {
        assert!(began.elapsed() < LONG, "{:?}", api.patches());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, body) = api.patches().into_iter().find(|(patched, _)| patched == path).unwrap();
    assert_eq!(body["status"]["loadBalancer"]["ingress"][0]["ip"], "127.0.0.1");
}
