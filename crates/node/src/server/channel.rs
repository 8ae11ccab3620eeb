//! The streams of exec and attach between a client and this node, whichever of the two protocols carries them: numbered
//! WebSocket messages or SPDY streams.

mod racing;
mod socket;
mod streams;

use bytes::Bytes;
use http::{Request, Response, header};
use object::Status;
use serde_json::{Value, json};

use super::upgrade::{self, Agreed, Offer};
use crate::node::Body;

const OFFER: Offer =
    Offer { websocket: &["v5.channel.k8s.io", "v4.channel.k8s.io"], spdy: "v4.channel.k8s.io" };

/// For the clients that lose messages of a WebSocket.
const WITHOUT_WEBSOCKET: Offer = Offer { websocket: &[], ..OFFER };

pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Stdin(Bytes),
    StdinClosed,
    Resize {
        columns: u16,
        rows: u16,
    },
    /// It left.
    Gone,
}

/// The size of a terminal, as clients write it.
fn size(value: &Value) -> Option<Said> {
    let side = |name: &str| value[name].as_u64().and_then(|side| u16::try_from(side).ok());
    Some(Said::Resize { columns: side("Width")?, rows: side("Height")? })
}

/// A connection agreed on, and the streams that it will have.
pub(super) struct Door {
    agreed: Agreed,
    channels: Vec<u8>,
}

/// Agrees on the protocol. `channels` are those that the client asked for.
pub(super) fn open(
    request: &mut Request<Body>,
    channels: Vec<u8>,
    tty: bool,
) -> Result<(Response<Body>, Door), Status> {
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let racing = agent.is_some_and(racing::is_racing);
    let (response, agreed) = upgrade::open(request, if racing { &WITHOUT_WEBSOCKET } else { &OFFER })?;
    let resize = tty.then_some(RESIZE);
    // Older clients ask for standard error of a terminal too, and never open it.
    let asked = channels.into_iter().filter(|channel| !(tty && *channel == STDERR));
    let channels = asked.chain([ERROR]).chain(resize).collect();
    Ok((response, Door { agreed, channels }))
}

/// The client's side of the conversation.
pub(super) enum Listener {
    Socket(socket::Listener),
    Streams(streams::Listener),
}

/// This side of it.
pub(super) enum Speaker {
    Socket(socket::Speaker),
    Streams(streams::Speaker),
}

/// Waits until the connection and its streams are there; `None` when the client left before.
pub(super) async fn accept(door: Door) -> Option<(Speaker, Listener)> {
    match door.agreed {
        Agreed::WebSocket(upgrade) => {
            let (speaker, listener) = socket::split(upgrade::socket(upgrade).await.ok()?);
            Some((Speaker::Socket(speaker), Listener::Socket(listener)))
        }
        Agreed::Spdy(upgrade) => {
            let (speaker, listener) = streams::accept(upgrade.await.ok()?, &door.channels).await?;
            Some((Speaker::Streams(speaker), Listener::Streams(listener)))
        }
    }
}

impl Listener {
    pub(super) async fn next(&mut self) -> Said {
        match self {
            Listener::Socket(listener) => listener.next().await,
            Listener::Streams(listener) => listener.next().await,
        }
    }
}

impl Speaker {
    /// Whether the client took it.
    pub(super) async fn say(&mut self, channel: u8, data: &[u8]) -> bool {
        match self {
            Speaker::Socket(speaker) => speaker.say(channel, data).await,
            Speaker::Streams(speaker) => speaker.say(channel, data).await,
        }
    }

    /// The last word: how it went. Waits for the client to take it, as long as that is `listener`'s wish.
    pub(super) async fn finish(self, status: &Value, listener: Listener) {
        match (self, listener) {
            (Speaker::Socket(speaker), _) => speaker.finish(status).await,
            (Speaker::Streams(speaker), Listener::Streams(listener)) => {
                speaker.finish(status, listener).await
            }
            (Speaker::Streams(_), Listener::Socket(_)) => {}
        }
    }
}

/// A command that ended well.
pub(super) fn success() -> Value {
    json!({ "metadata": {}, "status": "Success" })
}

/// A command that ended with a code, in the form from which kubectl takes its own exit code.
pub(super) fn exited(code: i32) -> Value {
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}
