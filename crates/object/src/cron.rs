//! When a CronJob is due: five fields, `@hourly` and the like, or `@every 5m`, in the dialect and with the words of
//! upstream's library. The rules of the kind read schedules here, and its controller asks them for the next time. Never
//! reads the clock.

mod read;

use crate::time::Timestamp;
use jiff::civil::{Date, DateTime};
pub use jiff::tz::TimeZone;
use jiff::tz::{AmbiguousOffset, TimeZoneDatabase};
use jiff::{Span, ToSpan};

/// A schedule of which no time comes in so many years is never due (upstream's figure).
const YEARS_MAX: i16 = 5;
/// No clock was ever set back by more: what is earlier by the calendar is earlier.
const SET_BACK_HOURS_MAX: i64 = 3;

/// When something is due, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// So many seconds after the last time.
    Every(i64),
    Calendar(Calendar),
}

/// The minutes, hours, days and months that are meant, as bits, and whether any day of the month or week is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Calendar {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

fn has(bits: u64, number: i8) -> bool {
    bits >> number & 1 == 1
}

/// The numbers below `end` that a field means.
fn numbers(bits: u64, end: i8) -> impl Iterator<Item = i8> {
    (0..end).filter(move |number| has(bits, *number))
}

impl Calendar {
    /// With both days restricted, either is enough; with one of them any, both have to fit.
    fn is_on(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let either = !self.any_day && !self.any_weekday;
        has(self.months, date.month()) && if either { day || weekday } else { day && weekday }
    }

    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let from = zone.to_datetime(after);
        let last = from.date().checked_add(Span::new().years(YEARS_MAX)).ok()?;
        // A day may begin before the last one ended, where a clock is set back at midnight.
        let days = from.date().yesterday().ok()?.series(1.day()).take_while(|date| *date <= last);
        days.filter(|date| self.is_on(*date)).find_map(|date| self.first_on(date, after, zone))
    }

    /// The first time of a day that comes later.
    fn first_on(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let margin = SET_BACK_HOURS_MAX.hours();
        let earliest = zone.to_datetime(after).checked_sub(margin).ok()?;
        let mut first: Option<(DateTime, Timestamp)> = None;
        for (hour, minute) in
            numbers(self.hours, 24).flat_map(|h| numbers(self.minutes, 60).map(move |m| (h, m)))
        {
            let local = date.at(hour, minute, 0, 0);
            if local < earliest {
                continue;
            }
            if first.is_some_and(|(found, _)| found.checked_add(margin).is_ok_and(|end| local > end)) {
                break;
            }
            for time in times(local, zone).into_iter().flatten().filter(|time| *time > after) {
                if first.is_none_or(|(_, found)| time < found) {
                    first = Some((local, time));
                }
            }
        }
        first.map(|(_, time)| time)
    }
}

/// When a clock shows this: once, never when it is set forward over it, twice when it is set back.
fn times(local: DateTime, zone: &TimeZone) -> [Option<Timestamp>; 2] {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(local).ok(), None],
        AmbiguousOffset::Gap { .. } => [None, None],
        AmbiguousOffset::Fold { before, after } => {
            [before.to_timestamp(local).ok(), after.to_timestamp(local).ok()]
        }
    }
}

impl Schedule {
    /// Reads a schedule; the error is what upstream says.
    pub fn read(text: &str) -> Result<Schedule, String> {
        read::schedule(text).map(Schedule)
    }

    /// The first time after `after`, by the clocks of a zone; none when there is none in the next years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every(seconds) => Timestamp::from_second(after.as_second().checked_add(*seconds)?).ok(),
            Kind::Calendar(calendar) => calendar.next(after, zone),
        }
    }
}

/// The time zone of that name, as the IANA's database has it; the database is part of the binary.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    // Names are looked up in any case there, and in one case upstream.
    (name == "UTC" || zone.iana_name() == Some(name)).then_some(zone)
}

/// A time by the clocks of a zone, as RFC 3339 has it: `2026-03-28T02:30:00+01:00`.
pub fn local(time: Timestamp, zone: &TimeZone) -> String {
    let local = time.to_zoned(zone.clone());
    let form = if local.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    local.strftime(form).to_string()
}

#[cfg(test)]
mod tests;
