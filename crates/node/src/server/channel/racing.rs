//! The clients that lose what comes over a WebSocket: kubectl 1.29 to 1.33 reads messages beside opening its streams, and
//! drops those of a stream that it has not opened yet (kubernetes/kubernetes#131203, mended in 1.34). Nothing in the
//! protocol tells this side when the streams are there; in SPDY they are opened by messages of their own. kubectl turns
//! to SPDY by itself when a server refuses it a WebSocket (docs/decisions/019).

use std::ops::RangeInclusive;

/// The minor versions of kubectl 1 that can speak WebSocket and have the fault.
const MINORS: RangeInclusive<u32> = 29..=33;

/// Whether a `User-Agent` is that of such a kubectl: `kubectl/v1.32.4 (linux/amd64) kubernetes/4cb5f07`. Other programs with
/// the same library are not known by theirs, nor whether they would turn to SPDY.
pub(super) fn is_racing(user_agent: &str) -> bool {
    let minor = || {
        let version = user_agent.strip_prefix("kubectl/v1.")?;
        version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    minor().is_some_and(|minor| MINORS.contains(&minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_version() {
        for racing in
            ["kubectl/v1.29.0 (linux/amd64) kubernetes/3f7a50f", "kubectl/v1.33.11", "kubectl/v1.32+"]
        {
            assert!(is_racing(racing), "{racing}");
        }
        for sound in [
            "kubectl/v1.28.15 (linux/amd64)",
            "kubectl/v1.34.0",
            "kubectl/v1.330",
            "kubectl/v1.",
            "client/v1.32.4",
            "",
        ] {
            assert!(!is_racing(sound), "{sound}");
        }
    }
}
