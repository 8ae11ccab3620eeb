//! Timestamps of log lines: RFC 3339 in UTC with nine digits, as the container runtime interface asks.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `2026-01-01T00:00:00.000000000Z`.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are counted from March, so
/// that the leap day is the last of its year; 400 years always have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let from_0000_03_01 = days + 719_468;
    let (era, of_era) = (from_0000_03_01 / 146_097, from_0000_03_01 % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_827_696, "2000-02-29T12:34:56.000000000Z"),
            (1_704_067_199, "2023-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
