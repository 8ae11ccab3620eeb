//! From a query's bytes to what is to be done about it: pure, apart from asking the zone.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{self, DNSClass, Name, RData};

use super::{Answer, Record, RecordType, TTL_SECONDS, Zone};

/// RFC 1035 §4.2.1: what a client without EDNS takes over UDP.
const UDP_MIN: u16 = 512;
/// What fits an Ethernet frame without fragments, whatever a client offers (DNS flag day 2020).
const UDP_MAX: u16 = 1232;
/// A chain of aliases within the zone longer than this is a loop.
const ALIASES_MAX: usize = 8;

/// What to do about a query.
pub(super) enum Plan {
    /// Send this.
    Answer(Box<Message>),
    /// Not our name: pass the query on as it is.
    Forward(Box<Message>),
    /// The answer so far ends in an alias to a foreign name: find that one's records too.
    Follow(Box<Message>, Query),
    /// Not even a header: no answer is due.
    Drop,
}

/// Reads a query and asks the zone.
pub(super) fn plan(zone: &dyn Zone, query: &[u8]) -> Plan {
    let Ok(request) = Message::from_vec(query) else {
        return malformed(query);
    };
    if request.metadata.message_type == MessageType::Response {
        return Plan::Drop;
    }
    let mut response = respond_to(&request);
    if request.metadata.op_code != OpCode::Query {
        return finish(response, ResponseCode::NotImp);
    }
    let [question] = &request.queries[..] else {
        return finish(response, ResponseCode::FormErr);
    };
    if question.query_class != DNSClass::IN {
        return finish(response, ResponseCode::Refused);
    }
    let mut name = question.name.clone();
    for _ in 0..ALIASES_MAX {
        match ask(zone, &name, question.query_type) {
            Answer::Foreign if response.answers.is_empty() => return Plan::Forward(Box::new(request)),
            Answer::Foreign => {
                return Plan::Follow(Box::new(response), Query::query(name, question.query_type));
            }
            Answer::Missing => {
                response.add_authorities(start_of_authority(zone));
                return finish(response, ResponseCode::NXDomain);
            }
            Answer::Records(records) => {
                let records = spread(records, request.metadata.id);
                response.metadata.authoritative = true;
                let alias = append(&mut response, &name, records);
                match alias.filter(|_| question.query_type != rr::RecordType::CNAME) {
                    Some(target) => name = target,
                    None => {
                        if response.answers.is_empty() {
                            response.add_authorities(start_of_authority(zone));
                        }
                        return finish(response, ResponseCode::NoError);
                    }
                }
            }
        }
    }
    finish(response, ResponseCode::ServFail)
}

/// The answer to a query that no resolver could be asked about.
pub(super) fn failure(request: &Message) -> Message {
    let mut response = respond_to(request);
    response.metadata.response_code = ResponseCode::ServFail;
    response
}

/// The bytes of an answer, cut to what the client takes over UDP; it then asks again over TCP.
pub(super) fn encode(message: &Message, udp: bool) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    let offered = message.edns.as_ref().map_or(UDP_MIN, |edns| edns.max_payload().clamp(UDP_MIN, UDP_MAX));
    if !udp || bytes.len() <= usize::from(offered) {
        return Some(bytes);
    }
    let mut short = message.truncate();
    short.metadata.truncation = true;
    short.to_vec().ok()
}

fn respond_to(request: &Message) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_queries(request.queries.iter().cloned());
    if let Some(asked) = &request.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(asked.max_payload().clamp(UDP_MIN, UDP_MAX)).set_version(0);
        response.set_edns(edns);
    }
    response
}

fn finish(mut response: Message, code: ResponseCode) -> Plan {
    response.metadata.response_code = code;
    Plan::Answer(Box::new(response))
}

/// A client whose query we cannot read still learns so, if there is an id to answer to.
fn malformed(query: &[u8]) -> Plan {
    const RESPONSE_BIT: u8 = 0x80;
    match query {
        [high, low, flags, _, ..] if query.len() >= 12 && flags & RESPONSE_BIT == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            Plan::Answer(Box::new(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)))
        }
        _ => Plan::Drop,
    }
}

fn ask(zone: &dyn Zone, name: &Name, kind: rr::RecordType) -> Answer {
    let kind = match kind {
        rr::RecordType::A => RecordType::A,
        rr::RecordType::AAAA => RecordType::Aaaa,
        rr::RecordType::SRV => RecordType::Srv,
        rr::RecordType::PTR => RecordType::Ptr,
        rr::RecordType::TXT => RecordType::Txt,
        _ => RecordType::Other,
    };
    let mut text = name.to_lowercase().to_ascii();
    if !text.ends_with('.') {
        text.push('.');
    }
    zone.lookup(&text, kind)
}

/// Starts at another record each time, so that clients which take the first one are spread.
fn spread(mut records: Vec<Record>, id: u16) -> Vec<Record> {
    if let count @ 2.. = records.len() {
        records.rotate_left(usize::from(id) % count);
    }
    records
}

/// Adds the records of `name`; hands back the alias, if it is one.
fn append(response: &mut Message, name: &Name, records: Vec<Record>) -> Option<Name> {
    let mut alias = None;
    for record in records {
        let data = match record {
            Record::A(address) => Some(RData::A(A(address))),
            Record::Srv { priority, weight, port, target } => Name::from_ascii(target)
                .ok()
                .map(|target| RData::SRV(SRV::new(priority, weight, port, target))),
            Record::Ptr(target) => Name::from_ascii(target).ok().map(|target| RData::PTR(PTR(target))),
            Record::Cname(target) => Name::from_ascii(target).ok().map(|target| {
                alias = Some(target.clone());
                RData::CNAME(CNAME(target))
            }),
            Record::Txt(text) => Some(RData::TXT(TXT::new(vec![text]))),
        };
        // A name that is no domain name (an ExternalName can be any text) has no record to give.
        if let Some(data) = data {
            response.add_answer(rr::Record::from_rdata(name.clone(), TTL_SECONDS, data));
        }
    }
    alias
}

/// RFC 2308: what lets clients remember that something is not there, and for how long.
fn start_of_authority(zone: &dyn Zone) -> Option<rr::Record> {
    const REFRESH: i32 = 7200;
    const RETRY: i32 = 1800;
    const EXPIRE: i32 = 86400;
    let origin = Name::from_ascii(zone.origin()).ok()?;
    let server = Name::from_ascii("ns.dns.").ok()?.append_domain(&origin).ok()?;
    let mailbox = Name::from_ascii("hostmaster.").ok()?.append_domain(&origin).ok()?;
    let soa = SOA::new(server, mailbox, 1, REFRESH, RETRY, EXPIRE, TTL_SECONDS);
    Some(rr::Record::from_rdata(origin, TTL_SECONDS, RData::SOA(soa)))
}
