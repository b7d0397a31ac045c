mod clock_changes;
mod due_runs;
mod expressions;
mod missed_ticks;
mod model;
mod oracle;
mod refusals;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::*;

/// A time zone of the tz database.
struct Named(Tz);

impl Zone for Named {
    fn utc_offset(&self, at: Timestamp) -> i32 {
        let utc = DateTime::from_timestamp_micros(at.0).unwrap().naive_utc();
        self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc()
    }
}

fn zone(name: &str) -> Named {
    Named(name.parse().unwrap())
}

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A moment such as `2026-03-08T03:00:00-04:00`; seconds and offset may be left out.
fn at(text: &str) -> Timestamp {
    let with_seconds = if text.len() == 16 {
        format!("{text}:00")
    } else {
        text.to_owned()
    };
    let full = if with_seconds.len() == 19 {
        with_seconds + "Z"
    } else {
        with_seconds
    };
    let moment = DateTime::parse_from_rfc3339(&full).unwrap_or_else(|error| panic!("{full}: {error}"));
    Timestamp(moment.timestamp_micros())
}

/// The moment as clocks in the zone show it, with its offset.
fn shown(moment: Timestamp, zone: &Named) -> String {
    let utc = DateTime::from_timestamp_micros(moment.0).unwrap();
    utc.with_timezone(&zone.0).to_rfc3339()
}

/// Asserts which runs come first after `from`; they are written as clocks in the zone show them.
#[track_caller]
fn assert_runs(text: &str, zone_name: &str, from: &str, expected: &[&str]) {
    let zone = zone(zone_name);
    let found: Vec<String> = preview(&schedule(text), &zone, at(from), expected.len())
        .map(|run| shown(run, &zone))
        .collect();
    assert_eq!(found, expected, "{text} in {zone_name} after {from}");
}

/// Asserts which runs come first after `from`, in UTC and without seconds.
#[track_caller]
fn assert_runs_utc(text: &str, from: &str, expected: &[&str]) {
    let full: Vec<String> = expected.iter().map(|run| format!("{run}:00+00:00")).collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    assert_runs(text, "UTC", from, &full);
}
