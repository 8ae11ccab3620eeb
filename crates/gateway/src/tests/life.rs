//! The end of a gateway.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::house::{House, LONG, api};

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_takes_nothing_new() {
    let endpoint = Endpoint::start("one").await;
    let mut slow = House::open(&api(&[endpoint.address])).await;
    let (http, house) = (slow.http, &mut slow);
    let (answer, ()) = tokio::join!(house.get("web.test", "/wait"), async {
        endpoint.waiting.notified().await;
        let stopping = house.gateway.stop();
        tokio::pin!(stopping);
        // The first poll begins the end; the listener goes with the accept loop.
        assert!(futures::poll!(&mut stopping).is_pending());
        let began = std::time::Instant::now();
        while TcpStream::connect(http).await.is_ok() {
            assert!(began.elapsed() < LONG, "still accepting");
            tokio::task::yield_now().await;
        }
        endpoint.go.notify_one();
        timeout(LONG, stopping).await.expect("drained");
    });
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("waited"), "{answer}");
}
