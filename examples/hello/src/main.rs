//! A function for `provided.al2023`: asks the Lambda Runtime API (2018-06-01) for an event, answers with a greeting and
//! how many events this instance has seen, and asks again. An event with `"waitMs"` is answered that much later. One
//! kept-alive connection, or the pipes that dory hands to a function; no dependencies; an answer and the wish for the next
//! event are sent together.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::FromRawFd;
use std::time::Duration;

const BASE: &str = "/2018-06-01/runtime/invocation";

fn main() -> Result<()> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(Error::other)?;
    match given() {
        Some((reader, writer)) => serve(BufReader::new(reader), writer, &api),
        None => {
            // An address, always: looking up names would be most of this program.
            let address: SocketAddr = api.parse().map_err(Error::other)?;
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            serve(BufReader::new(stream.try_clone()?), stream, &api)
        }
    }
}

/// The pipes that dory hands to a function, which cost less than a connection; on AWS there are none.
fn given() -> Option<(File, File)> {
    let numbers = std::env::var("_DORY_RUNTIME_API_FDS").ok()?;
    let (reader, writer) = numbers.split_once(',')?;
    // SAFETY: the platform opened these descriptors for this process, and nothing else here uses them.
    let open = |number: &str| Some(unsafe { File::from_raw_fd(number.parse().ok()?) });
    Some((open(reader)?, open(writer)?))
}

fn serve(mut reader: BufReader<impl Read>, mut writer: impl Write, api: &str) -> Result<()> {
    let next = format!("GET {BASE}/next HTTP/1.1\r\nHost: {api}\r\n\r\n");
    writer.write_all(next.as_bytes())?;
    for count in 1u64.. {
        let (id, event) = receive(&mut reader)?;
        let id = id.ok_or_else(|| Error::other("an event without a request id"))?;
        let answer = handle(&event, count);
        let response = format!(
            "POST {BASE}/{id}/response HTTP/1.1\r\nHost: {api}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{answer}{next}",
            answer.len()
        );
        writer.write_all(response.as_bytes())?;
        // That the answer was accepted.
        receive(&mut reader)?;
    }
    Ok(())
}

/// The function itself.
fn handle(event: &[u8], count: u64) -> String {
    std::thread::sleep(wait(event));
    format!("{{\"message\":\"hello from dory\",\"eventBytes\":{},\"invocation\":{count}}}", event.len())
}

/// The number behind `"waitMs":`, if there is one.
fn wait(event: &[u8]) -> Duration {
    let text = String::from_utf8_lossy(event);
    let digits = text.split_once("\"waitMs\":").map_or("", |(_, rest)| rest.trim_start());
    let end = digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len());
    Duration::from_millis(digits[..end].parse().unwrap_or(0))
}

/// Reads one of the platform's answers: the request id, if it carries one, and the body.
fn receive(reader: &mut BufReader<impl Read>) -> Result<(Option<String>, Vec<u8>)> {
    let (mut id, mut length) = (None, 0);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::other("the Runtime API closed the connection"));
        }
        let Some((name, value)) = line.split_once(':') else {
            // The status line comes first, the blank line last.
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("lambda-runtime-aws-request-id") {
            id = Some(value.trim().to_owned());
        } else if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((id, body))
}
