//! Schedules as data: what they are read as, and when they are due.

use super::{Schedule, local, time_zone};
use crate::time::{self, Timestamp};
use jiff::tz::TimeZone;

/// The times that follow, by the clocks of a zone.
fn due(schedule: &str, after: &str, zone: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::read(schedule).expect(schedule);
    let zone = time_zone(zone).expect(zone);
    let mut time = time::parse(after).expect(after);
    let mut times = Vec::new();
    while times.len() < count {
        let Some(next) = schedule.next(time, &zone) else { break };
        assert!(next > time, "{next} comes after {time}");
        times.push(next.to_zoned(zone.clone()).strftime("%a %d %b %Y %H:%M:%S %:z").to_string());
        time = next;
    }
    times
}

fn utc(schedule: &str, after: &str, count: usize) -> Vec<String> {
    let times = due(schedule, after, "UTC", count);
    times.into_iter().map(|text| text.trim_end_matches(":00 +00:00").to_owned()).collect()
}

#[test]
fn times_by_the_calendar() {
    let from = "2026-11-30T10:00:00Z";
    for (schedule, want) in [
        ("* * * * *", ["Mon 30 Nov 2026 10:01", "Mon 30 Nov 2026 10:02"]),
        ("*/15 * * * *", ["Mon 30 Nov 2026 10:15", "Mon 30 Nov 2026 10:30"]),
        ("20/30 * * * *", ["Mon 30 Nov 2026 10:20", "Mon 30 Nov 2026 10:50"]),
        ("0 9-17/4 * * MON-FRI", ["Mon 30 Nov 2026 13:00", "Mon 30 Nov 2026 17:00"]),
        ("30 4 1,15 * 5", ["Tue 01 Dec 2026 04:30", "Fri 04 Dec 2026 04:30"]),
        ("30 4 1,15 * *", ["Tue 01 Dec 2026 04:30", "Tue 15 Dec 2026 04:30"]),
        ("30 4 * * 5", ["Fri 04 Dec 2026 04:30", "Fri 11 Dec 2026 04:30"]),
        ("0 0 13 */2 5", ["Fri 01 Jan 2027 00:00", "Fri 08 Jan 2027 00:00"]),
        ("0 0 29 feb ?", ["Tue 29 Feb 2028 00:00", "Sun 29 Feb 2032 00:00"]),
        ("@yearly", ["Fri 01 Jan 2027 00:00", "Sat 01 Jan 2028 00:00"]),
        ("@weekly", ["Sun 06 Dec 2026 00:00", "Sun 13 Dec 2026 00:00"]),
        ("@hourly", ["Mon 30 Nov 2026 11:00", "Mon 30 Nov 2026 12:00"]),
        ("@every 90s", ["Mon 30 Nov 2026 10:01:30 +00:00", "Mon 30 Nov 2026 10:03"]),
        ("@every 1h0.5m", ["Mon 30 Nov 2026 11:00:30 +00:00", "Mon 30 Nov 2026 12:01"]),
    ] {
        assert_eq!(utc(schedule, from, 2), want, "{schedule}");
    }
    assert_eq!(utc("0 0 31 2 *", from, 2), [""; 0], "there is no such day");
    let schedule = Schedule::read("@every 1ms").expect("read");
    let at = |second| Timestamp::from_second(second).expect("in range");
    assert_eq!(schedule.next(at(7), &TimeZone::UTC), Some(at(8)), "a second is the least");
}

#[test]
fn clocks_that_are_set() {
    // In the night of 2026-03-29 there is no half past two in Berlin, in that of 2026-10-25 there are two.
    let berlin = |schedule, after| due(schedule, after, "Europe/Berlin", 3);
    assert_eq!(
        berlin("30 2 * * *", "2026-03-28T00:00:00Z"),
        [
            "Sat 28 Mar 2026 02:30:00 +01:00",
            "Mon 30 Mar 2026 02:30:00 +02:00",
            "Tue 31 Mar 2026 02:30:00 +02:00"
        ]
    );
    assert_eq!(
        berlin("30 2 * * *", "2026-10-24T12:00:00Z"),
        [
            "Sun 25 Oct 2026 02:30:00 +02:00",
            "Sun 25 Oct 2026 02:30:00 +01:00",
            "Mon 26 Oct 2026 02:30:00 +01:00"
        ]
    );
    assert_eq!(
        berlin("0,30 2 * * *", "2026-10-25T00:10:00Z"),
        [
            "Sun 25 Oct 2026 02:30:00 +02:00",
            "Sun 25 Oct 2026 02:00:00 +01:00",
            "Sun 25 Oct 2026 02:30:00 +01:00"
        ]
    );
    assert_eq!(
        due("0 0 * * *", "2026-11-30T10:00:00Z", "Asia/Kolkata", 1),
        ["Tue 01 Dec 2026 00:00:00 +05:30"]
    );
    let noon = time::parse("2026-06-01T12:00:00Z").expect("a time");
    let shown = |zone| local(noon, &time_zone(zone).expect(zone));
    assert_eq!(
        (shown("UTC"), shown("Asia/Kolkata")),
        ("2026-06-01T12:00:00Z".into(), "2026-06-01T17:30:00+05:30".into())
    );
    for (name, known) in [
        ("Europe/Berlin", true),
        ("UTC", true),
        ("Etc/GMT+5", true),
        ("europe/berlin", false),
        ("Mars/Olympus", false),
        ("", false),
    ] {
        assert_eq!(time_zone(name).is_some(), known, "{name}");
    }
}

#[test]
fn schedules_that_are_refused() {
    for (schedule, want) in [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("0 * * * * *", "expected exactly 5 fields, found 6: [0 * * * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* 24 * * *", "end of range (24) above maximum (23): 24"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * 13 *", "end of range (13) above maximum (12): 13"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("* * L * *", "failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax"),
        ("* * * * mon#2", "failed to parse int from mon#2: strconv.Atoi: parsing \"mon#2\": invalid syntax"),
        ("@noon", "unrecognized descriptor: @noon"),
        ("@every soon", "failed to parse duration @every soon: time: invalid duration \"soon\""),
        ("@every 5", "failed to parse duration @every 5: time: invalid duration \"5\""),
    ] {
        assert_eq!(Schedule::read(schedule), Err(want.to_owned()), "{schedule}");
    }
}
