//! Connections the kernel still tracks to endpoints that are gone. A TCP client notices and connects anew; a UDP
//! client that goes on sending from the same port would be sent to the old endpoint for ever.

use std::io;

use crate::netlink::{Socket, attribute};

const SUBSYSTEM: u16 = libc::NFNL_SUBSYS_CTNETLINK as u16;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;
/// Attributes of a flow: what the client sent, what it is answered with.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const HEADER: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];

/// An endpoint that a UDP service had: address (zero for a node port, which has any) and port of the service, then of
/// the endpoint; ports in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Gone {
    pub(super) service: ([u8; 4], [u8; 2]),
    pub(super) endpoint: ([u8; 4], [u8; 2]),
}

/// Makes the kernel forget the flows to these endpoints.
pub(super) fn forget(socket: &mut Socket, gone: &[Gone]) -> io::Result<()> {
    let mut stale = Vec::new();
    socket.dump(
        GET,
        |body| {
            body.raw(&HEADER);
        },
        |flow| {
            let rest = flow.get(HEADER.len()..).unwrap_or(&[]);
            let (Some(original), Some(reply)) = (attribute(rest, ORIGINAL), attribute(rest, REPLY)) else {
                return;
            };
            if gone.iter().any(|gone| leads(original, reply, gone)) {
                stale.push(original.to_vec());
            }
        },
    )?;
    for original in stale {
        let deleted = socket.request(DELETE, 0, |body| {
            body.raw(&HEADER).nest(ORIGINAL, |tuple| {
                tuple.raw(&original);
            });
        });
        match deleted {
            // It ended by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Whether a flow went to the service and is answered by the endpoint.
fn leads(original: &[u8], reply: &[u8], gone: &Gone) -> bool {
    let (Some(asked), Some(answers)) = (Tuple::read(original), Tuple::read(reply)) else { return false };
    let any_address = gone.service.0 == [0; 4];
    asked.protocol == libc::IPPROTO_UDP as u8
        && (any_address || asked.destination.0 == gone.service.0)
        && asked.destination.1 == gone.service.1
        && answers.source == gone.endpoint
}

struct Tuple {
    protocol: u8,
    source: ([u8; 4], [u8; 2]),
    destination: ([u8; 4], [u8; 2]),
}

impl Tuple {
    fn read(tuple: &[u8]) -> Option<Tuple> {
        let (addresses, ports) = (attribute(tuple, 1)?, attribute(tuple, 2)?);
        let address = |kind| attribute(addresses, kind)?.try_into().ok();
        let port = |kind| attribute(ports, kind)?.try_into().ok();
        Some(Tuple {
            protocol: *attribute(ports, 1)?.first()?,
            source: (address(1)?, port(2)?),
            destination: (address(2)?, port(3)?),
        })
    }
}
