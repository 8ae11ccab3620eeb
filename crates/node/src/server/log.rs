//! `GET /containerLogs/{namespace}/{pod}/{container}`: a log from the beginning or the end, once or followed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jiff::Timestamp;
use object::Status;
use tokio::sync::watch;

use super::Call;
use crate::inotify::Watcher;
use crate::logs::options::Options;
use crate::logs::read::Reader;
use crate::node::Body;
use crate::pod::task::{ContainerView, View, uid};

/// Chunks that wait for a slow reader; reading goes on when it took one.
const CHUNKS_MAX: usize = 4;
/// A container's last lines may still be on their way through its pipe when its end is known.
const LAST_LINES: Duration = Duration::from_millis(30);

pub(super) fn logs(call: &Call) -> Result<Response<Body>, Status> {
    let options = Options::parse(&call.query, Timestamp::now()).map_err(Status::bad_request)?;
    let views =
        call.pods.follow_one(&call.key).ok_or_else(|| Status::not_found("", "pods", &call.key.name))?;
    let (path, running) = find(call, &views.borrow(), &options)?;
    let follow = (options.follow && running).then(|| Following { views, container: call.container.clone() });
    stream(path, options, follow)
}

/// The file to read, and whether it is still written to.
fn find(call: &Call, view: &View, options: &Options) -> Result<(PathBuf, bool), Status> {
    let (name, pod) = (&call.container, &call.key.name);
    let container = find_container(call, view)?;
    let path = |attempt| call.pods.ground().log_path(uid(&view.pod), name, attempt);
    let Some(attempt) = container.attempt else {
        let message =
            format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {}", container.waiting);
        return Err(Status::bad_request(message));
    };
    if !options.previous {
        return Ok((path(attempt), container.running));
    }
    let before = container.previous.map(path).filter(|path| path.exists());
    let message = format!("previous terminated container \"{name}\" in pod \"{pod}\" not found");
    before.map(|path| (path, false)).ok_or_else(|| Status::bad_request(message))
}

/// The container that the call is about.
pub(super) fn find_container(call: &Call, view: &View) -> Result<ContainerView, Status> {
    let found = view.containers.iter().find(|container| container.name == call.container);
    let message = || format!("container {} is not valid for pod {}", call.container, call.key.name);
    found.cloned().ok_or_else(|| Status::bad_request(message()))
}

/// What tells a follower that no more lines will come.
pub(super) struct Following {
    pub(super) views: watch::Receiver<View>,
    pub(super) container: String,
}

impl Following {
    /// Waits until the container does not run any more.
    async fn ended(&mut self) {
        let name = &self.container;
        let over = |view: &View| {
            !view.containers.iter().any(|container| container.name == *name && container.running)
        };
        // The sender is gone with the pod: also an end.
        let _ = self.views.wait_for(over).await;
    }
}

fn stream(path: PathBuf, options: Options, follow: Option<Following>) -> Result<Response<Body>, Status> {
    let reader = match Reader::open(&path, options) {
        Ok(reader) => Some(reader),
        // A container that never wrote anything.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Status::internal(format!("failed to read the log: {error}"))),
    };
    let (chunks, body) = futures::channel::mpsc::channel::<io::Result<Bytes>>(CHUNKS_MAX);
    if let Some(reader) = reader {
        tokio::spawn(async move {
            let mut chunks = chunks;
            if let Err(error) = copy(reader, follow, path, &mut chunks).await {
                // The reader of the body is told; if it is gone there is nobody to tell.
                let _ = chunks.send(Err(error)).await;
            }
        });
    }
    let frames = body.map(|chunk| chunk.map(Frame::data).map_err(Into::into));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Where a log's text goes, chunk by chunk.
pub(super) type Chunks = futures::channel::mpsc::Sender<io::Result<Bytes>>;

/// Copies the log, to its end or as long as it is followed.
pub(super) async fn copy(
    mut reader: Reader,
    mut follow: Option<Following>,
    path: PathBuf,
    chunks: &mut Chunks,
) -> io::Result<()> {
    let mut watcher = match &follow {
        Some(_) => {
            let watcher = Watcher::new()?;
            watcher.add(&path)?;
            // A rotation shows in the directory.
            watcher.add(path.parent().unwrap_or(&path))?;
            Some(watcher)
        }
        None => None,
    };
    loop {
        loop {
            let Some(chunk) = reader.read()? else { return Ok(()) };
            if chunk.is_empty() {
                break;
            }
            if chunks.send(Ok(chunk.into())).await.is_err() {
                return Ok(());
            }
        }
        let (Some(following), Some(watcher)) = (&mut follow, &mut watcher) else { return Ok(()) };
        let reader_left = std::future::poll_fn(|context| match chunks.poll_ready(context) {
            // Ready says that there is room; only a closed channel is an end.
            std::task::Poll::Ready(Err(_)) => std::task::Poll::Ready(()),
            _ => std::task::Poll::Pending,
        });
        tokio::select! {
            changed = watcher.changed() => {
                changed?;
                // A rotated log goes on in a new file.
                watcher.add(&path).or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })?;
            }
            () = following.ended() => {
                tokio::time::sleep(LAST_LINES).await;
                follow = None;
            }
            () = reader_left => return Ok(()),
        }
    }
}
