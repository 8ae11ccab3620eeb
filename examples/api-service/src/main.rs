//! A small HTTP server, the kind of workload `dory` runs: `GET /` answers who and what version it is, `GET /healthz`
//! answers `ok`. It listens on 0.0.0.0:8080 (or `$PORT`) and leaves at once on SIGTERM.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// A request line or header longer than this is refused: nobody may fill our memory.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// A connection that says nothing for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

fn main() -> std::io::Result<()> {
    leave_on_sigterm();
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("api-service {} on {} listens on port {port}", version(), hostname());
    for connection in listener.incoming() {
        match connection {
            Ok(stream) => drop(std::thread::spawn(move || serve(stream))),
            Err(error) => eprintln!("failed to accept: {error}"),
        }
    }
    Ok(())
}

/// Answers requests on one connection until the client leaves.
fn serve(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(IDLE_MAX));
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        println!("{} {}", request.method, request.path);
        let (status, kind, body) = answer(&request);
        let connection = if request.keep_alive { "keep-alive" } else { "close" };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n"
        );
        let body = if request.method == "HEAD" { String::new() } else { body };
        if writer.write_all((head + &body).as_bytes()).is_err() || !request.keep_alive {
            return;
        }
    }
}

struct Request {
    method: String,
    path: String,
    keep_alive: bool,
}

/// The next request's line and headers; its body is not read, so a request with one ends the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let line = read_line(reader)?;
    let mut words = line.split_whitespace();
    let (method, target, protocol) = (words.next()?, words.next()?, words.next()?);
    let mut keep_alive = protocol == "HTTP/1.1";
    loop {
        let header = read_line(reader)?.to_ascii_lowercase();
        let Some((name, value)) = header.split_once(':') else { break };
        match (name, value.trim()) {
            ("connection", "close") | ("transfer-encoding", _) => keep_alive = false,
            ("content-length", length) if length != "0" => keep_alive = false,
            _ => {}
        }
    }
    let path = target.split('?').next().unwrap_or(target);
    Some(Request { method: method.to_owned(), path: path.to_owned(), keep_alive })
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    std::io::Read::take(reader, LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
    if line.pop() != Some(b'\n') {
        return None;
    }
    String::from_utf8(line).ok().map(|line| line.trim_end().to_owned())
}

fn answer(request: &Request) -> (&'static str, &'static str, String) {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/") => {
            let (version, hostname) = (version(), hostname());
            let body = format!(
                "{{\"service\":\"api-service\",\"version\":\"{version}\",\"hostname\":\"{hostname}\"}}\n"
            );
            ("200 OK", "application/json", body)
        }
        ("GET" | "HEAD", "/healthz") => ("200 OK", "text/plain", "ok\n".to_owned()),
        ("GET" | "HEAD", _) => ("404 Not Found", "text/plain", "not found\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "only GET is served\n".to_owned()),
    }
}

/// `$VERSION` lets one binary stand for several releases in a rolling update.
fn version() -> String {
    std::env::var("VERSION").unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned())
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
    name.trim().to_owned()
}

/// The first process of a container gets no default signal actions from the kernel: without a handler SIGTERM would be
/// ignored and every stop would take the whole grace period.
fn leave_on_sigterm() {
    const SIGTERM: i32 = 15;
    extern "C" fn leave(_signal: i32) {
        // SAFETY: `_exit` is async-signal-safe and does not return.
        unsafe { _exit(0) }
    }
    // SAFETY: `signal` and `_exit` are the C library's, with these very signatures; `leave` makes only
    // async-signal-safe calls.
    unsafe extern "C" {
        fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
        fn _exit(code: i32) -> !;
    }
    // SAFETY: installs a valid handler for a valid signal number.
    unsafe { signal(SIGTERM, leave) };
}
