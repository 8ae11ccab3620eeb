//! nf_tables messages: one batch is one transaction, taken whole or not at all. Knows tables, chains, rules, sets and
//! expressions; what they are for is `rules`' business. Blocking.

mod expression;

use std::io;

use libc::{NLM_F_APPEND, NLM_F_CREATE};

use crate::Error;
use crate::netlink::{Body, Datagram, Socket, attribute, attributes, string};

pub(crate) use expression::{CtKey, Expression, Field, MetaKey, Register, Verdict};

const FAMILY: u8 = libc::NFPROTO_IPV4 as u8;
const SUBSYSTEM: u16 = libc::NFNL_SUBSYS_NFTABLES as u16;
/// Elements per message: an attribute holds at most 64 KiB, an element takes less than 100 bytes.
const ELEMENTS_PER_MESSAGE: usize = 500;

/// `enum nf_tables_msg_types`.
mod message {
    pub(super) const NEW_TABLE: u16 = 0;
    pub(super) const GET_TABLE: u16 = 1;
    pub(super) const DEL_TABLE: u16 = 2;
    pub(super) const NEW_CHAIN: u16 = 3;
    pub(super) const GET_CHAIN: u16 = 4;
    pub(super) const DEL_CHAIN: u16 = 5;
    pub(super) const NEW_RULE: u16 = 6;
    pub(super) const DEL_RULE: u16 = 8;
    pub(super) const NEW_SET: u16 = 9;
    pub(super) const NEW_ELEMENTS: u16 = 12;
    pub(super) const GET_ELEMENTS: u16 = 13;
    pub(super) const DEL_ELEMENTS: u16 = 14;
}

/// Set flags of `enum nft_set_flags`.
pub(crate) const SET_MAP: u32 = 0x8;
/// Elements that expire.
pub(crate) const SET_TIMEOUT: u32 = 0x10;
/// Elements added by packets.
pub(crate) const SET_DYNAMIC: u32 = 0x20;

/// The data type of verdict maps.
pub(crate) const TYPE_VERDICT: u32 = 0xffff_ff00;

/// Where a base chain is attached.
pub(crate) struct Hook {
    pub(crate) kind: &'static str,
    pub(crate) number: u32,
    pub(crate) priority: i32,
}

/// A set or map. `key` and `data` are (type shown by `nft list`, length in bytes).
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) flags: u32,
    pub(crate) key: (u32, u32),
    pub(crate) data: Option<(u32, u32)>,
    /// The most elements packets may add; zero for sets only this room fills.
    pub(crate) size: u32,
}

/// What an element of a map leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Nothing,
    Value(Vec<u8>),
    Goto(String),
}

/// A transaction on one table, being written.
pub(crate) struct Batch {
    datagram: Datagram,
    table: String,
    /// What each message does, for error texts; the sequence number is the index.
    steps: Vec<String>,
    last: usize,
}

impl Batch {
    pub(crate) fn new(table: &str) -> Batch {
        let mut batch =
            Batch { datagram: Datagram::default(), table: table.to_owned(), steps: Vec::new(), last: 0 };
        batch.control(libc::NFNL_MSG_BATCH_BEGIN as u16);
        batch
    }

    fn control(&mut self, kind: u16) {
        let sequence = self.steps.len() as u32;
        self.steps.push("send a batch".to_owned());
        self.datagram.message(kind, 0, sequence, |body| {
            let subsystem = SUBSYSTEM.to_be_bytes();
            body.raw(&[libc::AF_UNSPEC as u8, 0, subsystem[0], subsystem[1]]);
        });
    }

    fn push(&mut self, kind: u16, flags: i32, step: String, write: impl FnOnce(&mut Body<'_>)) {
        let sequence = self.steps.len() as u32;
        self.steps.push(step);
        self.last = self.datagram.len();
        self.datagram
            .message(SUBSYSTEM << 8 | kind, flags, sequence, |body| write(body.raw(&[FAMILY, 0, 0, 0])));
    }

    /// Makes the table if it is not there.
    pub(crate) fn add_table(&mut self) {
        let table = self.table.clone();
        self.push(message::NEW_TABLE, NLM_F_CREATE, format!("add table {table}"), |body| {
            body.text(1, &table);
        });
    }

    /// Removes the table with all that is in it.
    pub(crate) fn delete_table(&mut self) {
        let table = self.table.clone();
        self.push(message::DEL_TABLE, 0, format!("delete table {table}"), |body| {
            body.text(1, &table);
        });
    }

    /// Adds a chain; a base chain if it has a hook.
    pub(crate) fn add_chain(&mut self, name: &str, hook: Option<Hook>) {
        let table = self.table.clone();
        self.push(message::NEW_CHAIN, NLM_F_CREATE, format!("add chain {name}"), |body| {
            body.text(1, &table).text(3, name);
            if let Some(hook) = hook {
                body.nest(4, |nested| {
                    nested.be32(1, hook.number).be32(2, hook.priority as u32);
                });
                body.text(7, hook.kind);
            }
        });
    }

    /// Removes a chain and its rules; nothing may lead to it any more.
    pub(crate) fn delete_chain(&mut self, name: &str) {
        let table = self.table.clone();
        self.push(message::DEL_RULE, 0, format!("empty chain {name}"), |body| {
            body.text(1, &table).text(2, name);
        });
        self.push(message::DEL_CHAIN, 0, format!("delete chain {name}"), |body| {
            body.text(1, &table).text(3, name);
        });
    }

    /// Appends a rule to a chain.
    pub(crate) fn add_rule(&mut self, chain: &str, expressions: &[Expression<'_>]) {
        let table = self.table.clone();
        self.push(message::NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, format!("add a rule to {chain}"), |body| {
            body.text(1, &table).text(2, chain).nest(4, |list| {
                for expression in expressions {
                    list.nest(1, |element| expression.write(element));
                }
            });
        });
    }

    /// Adds a set or map.
    pub(crate) fn add_set(&mut self, set: &Set) {
        let table = self.table.clone();
        let id = self.steps.len() as u32;
        self.push(message::NEW_SET, NLM_F_CREATE, format!("add set {}", set.name), |body| {
            body.text(1, &table).text(2, set.name).be32(3, set.flags).be32(4, set.key.0).be32(5, set.key.1);
            if let Some((kind, length)) = set.data {
                body.be32(6, kind).be32(7, length);
            }
            if set.size > 0 {
                body.nest(9, |description| {
                    description.be32(1, set.size);
                });
            }
            body.be32(10, id);
        });
    }

    /// Adds elements to a set or map.
    pub(crate) fn add_elements(&mut self, set: &str, elements: &[(&[u8], Data)]) {
        self.elements(message::NEW_ELEMENTS, NLM_F_CREATE, set, elements);
    }

    /// Removes elements, which must be there.
    pub(crate) fn delete_elements(&mut self, set: &str, keys: &[&[u8]]) {
        let elements: Vec<(&[u8], Data)> = keys.iter().map(|key| (*key, Data::Nothing)).collect();
        self.elements(message::DEL_ELEMENTS, 0, set, &elements);
    }

    fn elements(&mut self, kind: u16, flags: i32, set: &str, elements: &[(&[u8], Data)]) {
        let table = self.table.clone();
        for some in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.push(kind, flags, format!("change set {set}"), |body| {
                body.text(1, &table).text(2, set).nest(3, |list| {
                    for (key, data) in some {
                        list.nest(1, |element| write_element(element, key, data));
                    }
                });
            });
        }
    }

    fn is_empty(&self) -> bool {
        self.steps.len() == 1
    }
}

fn write_element(element: &mut Body<'_>, key: &[u8], data: &Data) {
    element.nest(1, |nested| {
        nested.attr(1, key);
    });
    match data {
        Data::Nothing => {}
        Data::Value(value) => {
            element.nest(2, |nested| {
                nested.attr(1, value);
            });
        }
        Data::Goto(chain) => {
            element.nest(2, |nested| Verdict::Goto(chain).write(nested));
        }
    }
}

/// A socket to nf_tables in the namespace of the thread that opened it.
pub(crate) struct Nft {
    socket: Socket,
}

impl Nft {
    pub(crate) fn open() -> Result<Nft, Error> {
        match Socket::open(Some(rustix::net::netlink::NETFILTER)) {
            Ok(socket) => Ok(Nft { socket }),
            Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => Err(unsupported()),
            Err(error) => Err(Error::kernel("open a netfilter socket")(error)),
        }
    }

    /// The socket, for netfilter's other subsystems.
    pub(crate) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Sends the batch: all of it happens, or nothing and the first reason is the error.
    pub(crate) fn commit(&mut self, mut batch: Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let last = batch.last;
        batch.datagram.acknowledge(last);
        batch.control(libc::NFNL_MSG_BATCH_END as u16);
        let refusals =
            self.socket.transact(batch.datagram).map_err(Error::kernel("send rules to the kernel"))?;
        let Some(first) = refusals.into_iter().next() else { return Ok(()) };
        if first.error.raw_os_error() == Some(libc::EOPNOTSUPP) {
            return Err(unsupported());
        }
        let step = batch.steps.get(first.sequence as usize).map_or("change the rules", String::as_str);
        Err(Error::kernel(step)(first.error))
    }

    /// Whether the table is there.
    pub(crate) fn has_table(&mut self, table: &str) -> bool {
        let answer = self.socket.request(SUBSYSTEM << 8 | message::GET_TABLE, 0, |body| {
            body.raw(&[FAMILY, 0, 0, 0]).text(1, table);
        });
        answer.is_ok()
    }

    /// The (table, chain) of everybody's forward hooks whose policy is to drop.
    pub(crate) fn dropping_forward_chains(&mut self) -> Vec<(String, String)> {
        const FORWARD: [u8; 4] = 2u32.to_be_bytes();
        const DROP: [u8; 4] = [0; 4];
        let mut found = Vec::new();
        let listed = self.socket.dump(
            SUBSYSTEM << 8 | message::GET_CHAIN,
            |body| {
                body.raw(&[FAMILY, 0, 0, 0]);
            },
            |answer| {
                let rest = answer.get(4..).unwrap_or(&[]);
                let hook = attribute(rest, 4).and_then(|hook| attribute(hook, 1));
                if hook == Some(&FORWARD) && attribute(rest, 5) == Some(&DROP) {
                    let text = |kind| attribute(rest, kind).map(string).unwrap_or_default();
                    found.push((text(1), text(3)));
                }
            },
        );
        if let Err(error) = listed {
            tracing::debug!(%error, "could not list chains");
        }
        found
    }

    /// The elements of a map, as (key, data).
    pub(crate) fn elements(&mut self, table: &str, set: &str) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = Vec::new();
        self.socket.dump(
            SUBSYSTEM << 8 | message::GET_ELEMENTS,
            |body| {
                body.raw(&[FAMILY, 0, 0, 0]).text(1, table).text(2, set);
            },
            |answer| {
                let list = answer.get(4..).and_then(|rest| attribute(rest, 3)).unwrap_or(&[]);
                for (_, element) in attributes(list) {
                    let value = |kind| {
                        attribute(element, kind).and_then(|data| attribute(data, 1)).map(<[u8]>::to_vec)
                    };
                    if let Some(key) = value(1) {
                        found.push((key, value(2).unwrap_or_default()));
                    }
                }
            },
        )?;
        Ok(found)
    }
}

fn unsupported() -> Error {
    Error::missing("nf_tables is", "load the kernel modules `nf_tables`, `nft_nat` and `nft_masq`")
}
