//! `/attach/{namespace}/{pod}/{container}`: a running container's output from now on, taken from its log. Its standard
//! input cannot be reached.

use futures::StreamExt;
use http::Response;
use object::Status;

use super::Call;
use super::channel::{self, STDERR, STDOUT, Said};
use super::log::{self, Following};
use crate::logs::options::Options;
use crate::logs::read::Reader;
use crate::node::Body;
use crate::pod::task::uid;

pub(super) async fn attach(mut call: Call) -> Result<Response<Body>, Status> {
    if call.flag(&["stdin", "input"]) {
        let message = "attaching to standard input is not supported; use exec, or attach without -i";
        return Err(Status::bad_request(message));
    }
    let views =
        call.pods.follow_one(&call.key).ok_or_else(|| Status::not_found("", "pods", &call.key.name))?;
    let view = views.borrow().clone();
    let container = log::find_container(&call, &view)?;
    let (Some(attempt), true) = (container.attempt, container.running) else {
        return Err(Status::bad_request(format!("container {} is not running", call.container)));
    };
    let path = call.pods.ground().log_path(uid(&view.pod), &call.container, attempt);
    let options = Options { follow: true, tail_lines: Some(0), ..Options::default() };
    let reader = Reader::open(&path, options)
        .map_err(|error| Status::internal(format!("failed to read the container's output: {error}")))?;
    let asked = [(STDOUT, call.flag(&["stdout", "output"])), (STDERR, call.flag(&["stderr", "error"]))];
    let channels = asked.into_iter().filter(|(_, asked)| *asked).map(|(channel, _)| channel).collect();
    let tty = call.flag(&["tty"]);
    let (response, door) = channel::open(&mut call.request, channels, tty)?;
    let following = Following { views, container: call.container.clone() };
    tokio::spawn(async move {
        let Some((mut speaker, mut listener)) = channel::accept(door).await else { return };
        speaker.say(STDOUT, b"").await;
        let (mut chunks, mut text) = futures::channel::mpsc::channel(1);
        tokio::spawn(async move { log::copy(reader, Some(following), path, &mut chunks).await });
        loop {
            tokio::select! {
                chunk = text.next() => match chunk {
                    Some(Ok(chunk)) => {
                        if !speaker.say(STDOUT, &chunk).await {
                            return;
                        }
                    }
                    _ => return speaker.finish(&channel::success(), listener).await,
                },
                said = listener.next() => if said == Said::Gone { return },
            }
        }
    });
    Ok(response)
}
