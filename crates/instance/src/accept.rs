//! The connections that come from inside one instance: so many at a time, each to its end.

use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Serves them until the caller drops the future, which ends them too. `what` stands here, for the log. Beyond `most`, the
/// next one waits until another has ended.
pub(crate) async fn accept(
    listener: TcpListener,
    what: &'static str,
    most: usize,
    serve: impl Fn(TcpStream) -> BoxFuture<'static, ()>,
) {
    let free = Arc::new(Semaphore::new(most));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = serve(stream);
                connections.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "{what} of an instance cannot accept");
                return;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn one_too_many_waits_until_another_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = Arc::new(AtomicUsize::new(0));
        let now = serving.clone();
        let server = tokio::spawn(accept(listener, "the test", 2, move |mut stream| {
            let now = now.clone();
            Box::pin(async move {
                let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                stream.write_all(&[u8::try_from(count).expect("few")]).await.expect("written");
                // Until the other end is closed.
                drop(stream.read(&mut [0]).await);
                now.fetch_sub(1, Ordering::SeqCst);
            })
        }));
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.expect("a connection"));
        }
        let mut third = clients.pop().expect("three");
        for client in &mut clients {
            client.read_u8().await.expect("served");
        }
        drop(clients.pop());
        assert_eq!(third.read_u8().await.expect("served"), 2, "in the place of the one that ended");
        server.abort();
    }
}
