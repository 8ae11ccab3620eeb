//! The value of `dory up --async-retry-delays`: two times in seconds, as in `60,120` or `0.1,0.2`. Pure.

use std::fmt::{Display, Formatter, Result as FmtResult};
use std::str::FromStr;
use std::time::Duration;

/// No event lives longer than six hours, so no retry can wait longer.
const DELAY_MAX: Duration = Duration::from_secs(6 * 3600);

/// The wait before the first and before the second retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryDelays(pub [Duration; 2]);

impl FromStr for RetryDelays {
    type Err = String;

    fn from_str(text: &str) -> Result<RetryDelays, String> {
        let delay = |text: &str| {
            let seconds = text.trim().parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok().filter(|delay| *delay <= DELAY_MAX)
        };
        let both = text.split_once(',').and_then(|(first, second)| Some([delay(first)?, delay(second)?]));
        both.map(RetryDelays)
            .ok_or_else(|| "give two times in seconds, each at most 21600, as in 60,120".to_owned())
    }
}

impl Display for RetryDelays {
    fn fmt(&self, out: &mut Formatter<'_>) -> FmtResult {
        let [first, second] = self.0;
        write!(out, "{},{}", first.as_secs_f64(), second.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_times_are_read_and_shown() {
        let delays: RetryDelays = "0.5, 120".parse().expect("two times");
        assert_eq!(delays.0, [Duration::from_millis(500), Duration::from_secs(120)]);
        assert_eq!(delays.to_string(), "0.5,120");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "60", "60,", "a,b", "-1,2", "1,2,3", "nan,1", "1,21601"] {
            assert!(text.parse::<RetryDelays>().is_err(), "{text}");
        }
    }
}
