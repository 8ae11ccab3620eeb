//! Functions through the AWS door, signed as the aws CLI signs: cold start, warm invoke, throughput.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use testing::binary::Dory;

use crate::{Examples, load, row};

const COLD_STARTS: usize = 50;
const WARM_INVOKES: usize = 2000;
const CLIENTS: usize = 16;
const MEASURED: Duration = Duration::from_secs(5);

/// A connection pool and what is needed to sign.
struct Door {
    client: Client<HttpConnector, Full<Bytes>>,
    host: String,
    region: String,
    credentials: sigv4::Credentials,
}

impl Door {
    fn open(dory: &Dory) -> Result<Arc<Door>> {
        let endpoints = dory.endpoints()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Arc::new(Door {
            client: Client::builder(TokioExecutor::new()).build(connector),
            host: format!("127.0.0.1:{}", endpoints.aws_port),
            region: endpoints.region,
            credentials: dory.credentials()?,
        }))
    }

    async fn invoke(&self, function: &str) -> Result<Duration> {
        let body = Bytes::from_static(br#"{"name":"bench"}"#);
        let began = Instant::now();
        let (mut parts, ()) =
            Request::post(format!("http://{}/2015-03-31/functions/{function}/invocations", self.host))
                .header("host", &self.host)
                .body(())?
                .into_parts();
        let hash = sigv4::hex_sha256(&body);
        sigv4::sign(&mut parts, &hash, &self.credentials, &self.region, "lambda", jiff::Timestamp::now());
        let response = self.client.request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = response.into_parts();
        let answer = body.collect().await?.to_bytes();
        let took = began.elapsed();
        if parts.status != 200 || parts.headers.contains_key("x-amz-function-error") {
            bail!("{}: {}", parts.status, String::from_utf8_lossy(&answer));
        }
        Ok(took)
    }
}

pub(crate) fn run(dory: &Dory, examples: &Examples) -> Result<()> {
    let bootstrap = examples.path("bootstrap");
    let bootstrap = bootstrap.to_string_lossy();
    // A cold start is the first call of a function: so many functions, so many cold starts.
    for n in 0..COLD_STARTS {
        dory.run(&["deploy", &bootstrap, "--name", &format!("cold-{n}")])?;
    }
    load::block_on(async {
        let door = Door::open(dory)?;
        let mut cold = Vec::new();
        for n in 0..COLD_STARTS {
            cold.push(door.invoke(&format!("cold-{n}")).await?);
        }
        row::median_ms("cold_start_static_elf", &mut cold, 10.0);
        let mut warm = Vec::new();
        for _ in 0..WARM_INVOKES {
            warm.push(door.invoke("cold-0").await?);
        }
        row::median_ms("warm_invoke_1_client", &mut warm, 0.4);
        let measured = load::closed_loop(CLIENTS, MEASURED, move |_, _| {
            let door = door.clone();
            async move { door.invoke("cold-0").await.map(drop) }
        });
        row::at_least("warm_invokes_16_clients", measured.await?, "per s", 5000.0);
        Ok(())
    })
}
