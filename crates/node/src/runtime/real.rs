//! The machine itself: `sandbox` behind the node's traits.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sandbox::{
    Attach, ContainerRecord, ContainerSpec, Credentials, Error, Exec, ExecSpec, Host, Pod, PodSpec, Pulls,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;

use super::{Image, PodUsage, Pull, Ran, Runtime, Sandbox};

/// What is kept of a probe's or hook's output; upstream's limit for probes.
const OUTPUT_BYTES_MAX: usize = 10 * 1024;

/// A host of sandboxes.
pub(crate) struct Real(pub(crate) Arc<Host>, pub(crate) Arc<Pulls>);

fn image(image: sandbox::image::Image) -> Image {
    Image {
        id: image.digest.to_string(),
        entrypoint: image.config.entrypoint,
        command: image.config.cmd,
        user: image.config.user,
        pulled: image.pulled,
    }
}

impl Runtime for Real {
    fn image(&self, name: &str) -> Option<Image> {
        self.0.images().resolve(name).ok().map(image)
    }

    fn pull(
        &self,
        name: &str,
        credentials: Vec<Credentials>,
        missing_only: bool,
    ) -> BoxFuture<'static, Pull> {
        let (host, pulls, name) = (self.0.clone(), self.1.clone(), name.to_owned());
        Box::pin(async move {
            let pulled = pulls.pull(host.images(), &name, &credentials, missing_only).await;
            let (found, bytes) = pulled.map_err(|error| chain(&error))?;
            Ok((image(found), bytes))
        })
    }

    fn start_pod(&self, spec: PodSpec) -> BoxFuture<'static, Result<Arc<dyn Sandbox>, Error>> {
        let host = self.0.clone();
        Box::pin(async move { Ok(Arc::new(RealPod(host.start_pod(spec).await?)) as Arc<dyn Sandbox>) })
    }

    fn adopt(&self) -> BoxFuture<'static, Result<Vec<Arc<dyn Sandbox>>, Error>> {
        let host = self.0.clone();
        Box::pin(async move {
            let pods = host.adopt_pods().await?.into_iter();
            Ok(pods.map(|pod| Arc::new(RealPod(pod)) as Arc<dyn Sandbox>).collect())
        })
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

struct RealPod(Arc<Pod>);

impl Sandbox for RealPod {
    fn id(&self) -> String {
        self.0.id().to_owned()
    }

    fn address(&self) -> Option<Ipv4Addr> {
        self.0.address()
    }

    fn netns(&self) -> Option<PathBuf> {
        self.0.netns().map(std::path::Path::to_owned)
    }

    fn is_live(&self) -> bool {
        self.0.is_live()
    }

    fn start_container(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<ContainerRecord, Error>> {
        Box::pin(self.0.start_container(spec))
    }

    fn stop<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.0.stop(name))
    }

    fn kill<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.0.kill(name))
    }

    fn containers(&self) -> Vec<ContainerRecord> {
        self.0.containers()
    }

    fn events(&self) -> BoxStream<'static, ContainerRecord> {
        self.0.events()
    }

    fn exec<'a>(&'a self, name: &'a str, spec: ExecSpec) -> BoxFuture<'a, Result<Exec, Error>> {
        Box::pin(self.0.exec(name, spec))
    }

    fn attach<'a>(&'a self, name: &'a str, stdin: bool) -> BoxFuture<'a, Result<Attach, Error>> {
        Box::pin(self.0.attach(name, stdin))
    }

    fn run<'a>(
        &'a self,
        name: &'a str,
        argv: Vec<String>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Ran, String>> {
        Box::pin(async move {
            let mut exec = match self.0.exec(name, ExecSpec { argv, ..ExecSpec::default() }).await {
                Ok(exec) => exec,
                // A command that cannot be started counts as one that failed, as with a shell.
                Err(Error::Start(error)) => {
                    return Ok(Ran { code: error.exit_code(), output: error.message });
                }
                Err(error) => return Err(error.to_string()),
            };
            match tokio::time::timeout(timeout, collect(&mut exec)).await {
                Ok(result) => result,
                Err(_) => {
                    exec.kill().await;
                    Err(format!("command timed out after {}s", timeout.as_secs()))
                }
            }
        })
    }

    fn layers(&self) -> Vec<(String, PathBuf)> {
        self.0.layers()
    }

    fn usage(&self) -> BoxFuture<'_, Result<PodUsage, Error>> {
        Box::pin(self.0.stats())
    }

    fn remove(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.0.remove())
    }
}

async fn collect(exec: &mut Exec) -> Result<Ran, String> {
    let (stdout, stderr) = (reader(exec.stdout.take())?, reader(exec.stderr.take())?);
    let (out, err, exit) = tokio::join!(read(stdout), read(stderr), exec.wait());
    let exit = exit.map_err(|error| error.to_string())?;
    Ok(Ran { code: exit.code, output: out + &err })
}

/// The reading end of a pipe, for the event loop.
fn reader(end: Option<OwnedFd>) -> Result<Option<pipe::Receiver>, String> {
    end.map(pipe::Receiver::from_owned_fd).transpose().map_err(|error| format!("read a pipe: {error}"))
}

/// The beginning of the output; the rest is read and dropped so that the command does not block.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(text.len());
        text.extend_from_slice(&buffer[..count.min(room)]);
    }
    String::from_utf8_lossy(&text).into_owned()
}
