//! Times as the API writes them. Never reads the clock: callers pass `now` in.

pub use jiff::Timestamp;

/// `2026-11-21T05:50:00Z`: what `metav1.Time` is on the wire.
pub fn seconds(time: Timestamp) -> String {
    // Cut, not rounded: a time never lies in the future of the clock it was read from.
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    format!("{whole:.0}")
}

/// `2026-11-21T05:50:00.123456Z`: what `metav1.MicroTime` is on the wire (leases, events).
pub fn micros(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// Reads either form, or any other RFC 3339 time.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Reads a duration as Go writes it: `15.3s`, `1m0.5s`. One that is negative is none.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        use std::time::Duration;
        assert_eq!(duration("15.25s"), Some(Duration::from_millis(15_250)));
        assert_eq!(duration("1m0.5s"), Some(Duration::from_millis(60_500)));
        assert_eq!(duration("-1s"), None);
        assert_eq!(duration("soon"), None);
    }

    #[test]
    fn forms() {
        let time = parse("2026-11-21T06:50:00.999999999+01:00").expect("a time");
        assert_eq!(seconds(time), "2026-11-21T05:50:00Z");
        assert_eq!(micros(time), "2026-11-21T05:50:00.999999Z");
        assert_eq!(parse("2026-11-21"), None);
        assert_eq!(parse("yesterday"), None);
    }
}
