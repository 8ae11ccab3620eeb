//! What a function's environment says of its web server, in the words of AWS's Lambda Web Adapter (its guide,
//! "Environment Variables", version 1.1). Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The wrapper script that the adapter's layer brings, and by which functions on managed runtimes ask for it.
pub const WRAPPER: &str = "/opt/bootstrap";

const PREFIX: &str = "AWS_LWA_";

/// Variables of the adapter that mean something here.
const KNOWN: [&str; 17] = [
    "ASYNC_INIT",
    "AUTHORIZATION_SOURCE",
    "ENABLE_COMPRESSION",
    "ERROR_STATUS_CODES",
    "HOST",
    "INVOKE_MODE",
    "PASS_THROUGH_PATH",
    "POOL_IDLE_TIMEOUT_SECONDS",
    "PORT",
    "READINESS_CHECK_HEALTHY_STATUS",
    "READINESS_CHECK_MIN_UNHEALTHY_STATUS",
    "READINESS_CHECK_PATH",
    "READINESS_CHECK_PORT",
    "READINESS_CHECK_PROTOCOL",
    "READINESS_CHECK_TIMEOUT_SECONDS",
    "REMOVE_BASE_PATH",
    // Of the adapter's own registration as an extension, which does not happen here.
    "EXTENSION_REGISTER_BASE_MS",
];

/// Those that cannot be honoured, why, and what to do.
const REFUSED: [(&str, &str); 4] = [
    (
        "LAMBDA_RUNTIME_API_PROXY",
        "the platform itself stands in for the adapter and calls no Runtime API. Take it away",
    ),
    ("ENABLE_TLS", TLS),
    ("TLS_SERVER_NAME", TLS),
    ("TLS_CERT_FILE", TLS),
];

const TLS: &str =
    "the adapter has given up TLS to the server. Take it away, and let the server listen without TLS";

/// Paths that nobody from outside may call, as with the adapter. There are no snapshots here, so nothing calls them.
const HOOKS: [&str; 2] = ["SNAPSTART_BEFORE_CHECKPOINT_PATH", "SNAPSTART_AFTER_RESTORE_PATH"];

/// How long the server may keep an unused connection before it closes it; many close after five seconds.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// How to reach a server, and how to speak for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// It is said that this is a server, and not only where one would listen.
    pub(crate) certain: bool,
    pub(crate) host: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) readiness: Readiness,
    /// Answers calls before the server is ready, or lets them wait with it.
    pub(crate) async_init: bool,
    pub(crate) base_path: Option<String>,
    pub(crate) compress: bool,
    pub(crate) streams: bool,
    pub(crate) pass_through: String,
    /// The header, in lower case, that becomes `authorization`.
    pub(crate) authorization: Option<String>,
    pub(crate) errors: Statuses,
    pub(crate) hooks: Vec<String>,
    pub(crate) pool_idle: Duration,
    /// Variables with the adapter's prefix that mean nothing here.
    pub(crate) unknown: Vec<String>,
}

/// When the server counts as ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) port: u16,
    /// `None` when a connection is enough.
    pub(crate) path: Option<String>,
    pub(crate) healthy: Statuses,
    pub(crate) timeout: Option<Duration>,
}

/// HTTP statuses, as ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    pub(crate) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// `500,502-504`. What is no number is left out, as the adapter does.
    fn read(text: &str) -> Statuses {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        };
        Statuses(text.split(',').filter_map(range).collect())
    }
}

impl Settings {
    /// Nothing when the environment speaks of no server; an error when it asks for what cannot be. `PORT` alone counts
    /// only where `own_program` says that the program is the function's own. `named`: the function names the adapter's layer.
    pub(crate) fn read(
        environment: &BTreeMap<String, String>,
        own_program: bool,
        named: bool,
    ) -> Result<Option<Settings>, String> {
        let get = |name: &str| environment.get(name).map(String::as_str);
        let certain = named
            || get("AWS_LAMBDA_EXEC_WRAPPER") == Some(WRAPPER)
            || environment.keys().any(|name| name.starts_with(PREFIX));
        let suggested = own_program && get("PORT").is_some();
        if !certain && !suggested {
            return Ok(None);
        }
        let lwa = |name: &str| get(&format!("{PREFIX}{name}"));
        // Before version 1.0 of the adapter these had no prefix.
        let old = |name: &str| lwa(name).or_else(|| get(name));
        let on = |value: Option<&str>| value == Some("true");
        for (name, why) in REFUSED {
            if lwa(name).is_some_and(|value| !value.is_empty() && value != "false") {
                return Err(format!("{PREFIX}{name} is not supported: {why}"));
            }
        }
        let port = port("AWS_LWA_PORT", lwa("PORT").or_else(|| get("PORT")), 8080)?;
        Ok(Some(Settings {
            certain,
            host: host(old("HOST"))?,
            port,
            readiness: Readiness {
                port: self::port("AWS_LWA_READINESS_CHECK_PORT", old("READINESS_CHECK_PORT"), port)?,
                path: match old("READINESS_CHECK_PROTOCOL") {
                    Some(protocol) if protocol.eq_ignore_ascii_case("tcp") => None,
                    _ => Some(absolute(old("READINESS_CHECK_PATH").unwrap_or("/"))),
                },
                healthy: healthy(
                    lwa("READINESS_CHECK_HEALTHY_STATUS"),
                    old("READINESS_CHECK_MIN_UNHEALTHY_STATUS"),
                ),
                timeout: seconds(lwa("READINESS_CHECK_TIMEOUT_SECONDS")).filter(|time| !time.is_zero()),
            },
            async_init: on(old("ASYNC_INIT"))
                && get("AWS_LAMBDA_INITIALIZATION_TYPE") != Some("provisioned-concurrency"),
            base_path: old("REMOVE_BASE_PATH")
                .map(|path| absolute(path.trim_end_matches('/')))
                .filter(|path| path != "/"),
            streams: lwa("INVOKE_MODE").is_some_and(|mode| mode.eq_ignore_ascii_case("response_stream")),
            compress: on(lwa("ENABLE_COMPRESSION")),
            pass_through: absolute(lwa("PASS_THROUGH_PATH").unwrap_or("/events")),
            authorization: lwa("AUTHORIZATION_SOURCE").map(str::to_ascii_lowercase),
            errors: lwa("ERROR_STATUS_CODES").map(Statuses::read).unwrap_or_default(),
            hooks: HOOKS.iter().filter_map(|name| lwa(name)).map(absolute).collect(),
            pool_idle: seconds(lwa("POOL_IDLE_TIMEOUT_SECONDS")).unwrap_or(POOL_IDLE),
            unknown: environment.keys().filter(|name| is_unknown(name)).cloned().collect(),
        }))
    }
}

fn is_unknown(name: &str) -> bool {
    let Some(name) = name.strip_prefix(PREFIX) else { return false };
    !KNOWN.contains(&name) && !HOOKS.contains(&name) && REFUSED.iter().all(|(refused, _)| *refused != name)
}

fn port(name: &str, text: Option<&str>, default: u16) -> Result<u16, String> {
    let Some(text) = text else { return Ok(default) };
    let port = text.trim().parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| {
        format!("{name} (or PORT) is {text:?}, which is no port: give a number from 1 to 65535")
    })
}

/// The server listens inside its own instance, so its address is one of the loopback's, or every address there is.
fn host(text: Option<&str>) -> Result<Ipv4Addr, String> {
    match text.unwrap_or("127.0.0.1") {
        "localhost" | "0.0.0.0" => Ok(Ipv4Addr::LOCALHOST),
        text => text.parse().ok().filter(Ipv4Addr::is_loopback).ok_or_else(|| {
            format!("AWS_LWA_HOST is {text:?}: a server is reached on its instance's own loopback alone. Take it away, or give \
                 127.0.0.1")
        }),
    }
}

/// `100-499`, unless said otherwise; the older variable names the first status that is unhealthy.
fn healthy(ranges: Option<&str>, first_unhealthy: Option<&str>) -> Statuses {
    match (ranges, first_unhealthy.and_then(|status| status.trim().parse::<u16>().ok())) {
        (Some(ranges), _) => Statuses::read(ranges),
        (None, Some(status)) => Statuses(vec![(100, status.saturating_sub(1))]),
        (None, None) => Statuses(vec![(100, 499)]),
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn seconds(text: Option<&str>) -> Option<Duration> {
    Duration::try_from_secs_f64(text?.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::read(&environment.collect(), true, false)
    }

    fn server(pairs: &[(&str, &str)]) -> Settings {
        read(pairs).expect("fit settings").expect("a server")
    }

    #[test]
    fn what_makes_a_server() {
        assert_eq!(read(&[("READINESS_CHECK_PATH", "/x")]), Ok(None));
        assert_eq!(
            Settings::read(&BTreeMap::from([("PORT".to_owned(), "1".to_owned())]), false, false),
            Ok(None)
        );
        assert_eq!(read(&[]), Ok(None));
        let named = Settings::read(&BTreeMap::new(), true, true).expect("fit settings").expect("a server");
        assert!(named.certain && named.port == 8080);
        assert!(!server(&[("PORT", "8000")]).certain);
        assert!(server(&[("AWS_LWA_INVOKE_MODE", "buffered")]).certain);
        assert!(server(&[("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap")]).certain);
        assert_eq!(read(&[("AWS_LAMBDA_EXEC_WRAPPER", "/opt/other")]), Ok(None));
    }

    #[test]
    fn ports_fall_back() {
        let ports = |pairs: &[(&str, &str)]| {
            let settings = server(pairs);
            (settings.port, settings.readiness.port)
        };
        assert_eq!(ports(&[("AWS_LWA_ASYNC_INIT", "true")]), (8080, 8080));
        assert_eq!(ports(&[("PORT", "8000")]), (8000, 8000));
        assert_eq!(ports(&[("PORT", "8000"), ("AWS_LWA_PORT", "9000")]), (9000, 9000));
        assert_eq!(ports(&[("AWS_LWA_PORT", "9000"), ("READINESS_CHECK_PORT", "1")]), (9000, 1));
        assert_eq!(
            read(&[("PORT", "http")]),
            Err("AWS_LWA_PORT (or PORT) is \"http\", which is no port: give a number from 1 to 65535".into())
        );
    }

    #[test]
    fn statuses_are_ranges() {
        let healthy = |pairs: &[(&str, &str)], status| server(pairs).readiness.healthy.contains(status);
        let port = ("PORT", "8000");
        assert!(healthy(&[port], 404) && !healthy(&[port], 500));
        let ranges = ("AWS_LWA_READINESS_CHECK_HEALTHY_STATUS", "200, 301-399,x");
        assert!(healthy(&[port, ranges], 302) && !healthy(&[port, ranges], 300));
        let older = ("AWS_LWA_READINESS_CHECK_MIN_UNHEALTHY_STATUS", "400");
        assert!(healthy(&[port, older], 399) && !healthy(&[port, older], 400));
        assert!(server(&[port, ("AWS_LWA_ERROR_STATUS_CODES", "500,502-504")]).errors.contains(503));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let refused =
            |name: &str, value: &str| read(&[("AWS_LWA_PORT", "1"), (name, value)]).expect_err("refused");
        assert!(refused("AWS_LWA_LAMBDA_RUNTIME_API_PROXY", "127.0.0.1:9009").contains("not supported"));
        assert!(refused("AWS_LWA_ENABLE_TLS", "true").contains("not supported"));
        assert!(refused("AWS_LWA_HOST", "10.0.0.1").contains("loopback"));
        assert!(read(&[("AWS_LWA_ENABLE_TLS", "false")]).is_ok());
        assert_eq!(server(&[("AWS_LWA_SPEED", "1")]).unknown, ["AWS_LWA_SPEED"]);
    }
}
