//! The AWS door alone, over an API server in memory and functions as plain processes: `cargo run -p aws --example serve
//! -- 4566`. For trying AWS clients against it; prints what to export.

use aws::{Config, Door};
use functions::loopback;
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_else(|| "0".to_owned());
    let interpreter_dirs = arguments.map(PathBuf::from).collect();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let server = testing::house::bare_server().await.map_err(|error| error.to_string())?;
    let dir = tempfile::tempdir()?;
    let config = loopback::config(testing::house::as_user(&server, "dory:functions"), dir.path()).await;
    let functions = functions::Functions::start(functions::Config { interpreter_dirs, ..config });
    let credentials = sigv4::Credentials {
        access_key_id: "AKIDORYEXAMPLE".to_owned(),
        secret_access_key: "example".to_owned(),
        session_token: None,
    };
    println!("export AWS_ENDPOINT_URL={endpoint} AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1");
    println!("export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=example", credentials.access_key_id);
    let (clock, files) = (Arc::new(managed::Wall), dir.path().join("buckets"));
    let door = Arc::new(Door::new(Config {
        topics: managed::Topics::in_memory(clock.clone()).await,
        buckets: managed::Buckets::open(managed::memory(), files, clock).await?,
        keys: Arc::new(sigv4::Keys::new(vec![credentials], b"seed")),
        functions: functions.await?,
        client: testing::house::as_user(&server, "dory:aws"),
        region: "us-east-1".to_owned(),
        account_id: "000000000000".to_owned(),
        endpoint,
        url_base: "localhost:8080".to_owned(),
    }));
    tokio::spawn(door.clone().keep_house());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let door = door.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let door = door.clone();
                async move {
                    Ok::<_, Infallible>(
                        door.handle(request.map(|body| body.map_err(Into::into).boxed_unsync())).await,
                    )
                }
            });
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}
