//! From wall-clock times to moments, across changes of the clocks.

use super::super::time::Timestamp;
use super::calendar::Calendar;

const HOUR: i64 = 3600;

/// A time zone.
pub trait Zone {
    /// Seconds east of UTC in force at `at`.
    ///
    /// Asked between the end of 1969 and the beginning of 2101, at whole seconds.
    fn utc_offset(&self, at: Timestamp) -> i32;
}

/// Clocks that go forward by this much or more were corrected; cron makes up for no less. `cron.c`:
/// `timeDiff > 3*MINUTE_COUNT`, with `timeDiff` one minute more than the change.
const CORRECTION_FORWARD: i64 = 3 * HOUR;

/// Clocks that go back by more than this were corrected. `cron.c`: `timeDiff > -(3*MINUTE_COUNT)`, here
/// too with one minute more.
const CORRECTION_BACK: i64 = 3 * HOUR;

/// How far the offset is taken to be the same when it is at both ends. Since 1970 no zone of the tz
/// database (2025b) has changed twice within 6 days.
const WINDOW: i64 = 48 * HOUR;

/// More than any change: several places moved across the date line by 24 hours.
const LEAD: i64 = 25 * HOUR;

/// End of the calendar, 2101-01-01, with a day for offsets.
const END: i64 = 4_133_980_800 + 24 * HOUR;

/// Most moves of one search. A schedule that each year falls into a skipped hour takes three a year.
const MAX_MOVES: usize = 1000;

/// A moment when the clocks change.
struct Change {
    at: i64,
    before: i64,
    after: i64,
}

/// The first run strictly after `after`, both in Unix time.
///
/// Follows the clocks from `after` on, from one change to the next or straight to shortly before the
/// next match, where there is nothing to miss on the way.
pub fn next_run(calendar: &Calendar, zone: &dyn Zone, after: i64) -> Option<i64> {
    let mut at = after.max(-1);
    if at > END {
        return None;
    }
    let mut offset = utc_offset(zone, at);
    let mut next = calendar.next(wall_passed(calendar, zone, at, offset))?;
    for _ in 0..MAX_MOVES {
        let run = next - offset;
        let reach = run.min(at + WINDOW);
        if utc_offset(zone, reach) != offset {
            let change = find_change(zone, at, reach);
            if !makes_up(calendar, &change) {
                next = calendar.next(change.at + change.after - 1)?;
            } else if next < change.at + change.after {
                return Some(change.at);
            }
            (at, offset) = (change.at, change.after);
        } else if reach == run {
            return Some(run);
        } else {
            at = run - LEAD;
            offset = utc_offset(zone, at);
        }
    }
    None
}

/// The wall-clock time up to which the schedule is done at the moment `at`: what clocks show, but for
/// fixed times in a repeated hour what they showed before.
fn wall_passed(calendar: &Calendar, zone: &dyn Zone, at: i64, offset: i64) -> i64 {
    let wall = at + offset;
    if calendar.by_the_clock || utc_offset(zone, at - CORRECTION_BACK) <= offset {
        return wall;
    }
    let change = find_change(zone, at - CORRECTION_BACK, at);
    if makes_up(calendar, &change) {
        wall.max(change.at + change.before - 1)
    } else {
        wall
    }
}

/// Whether the schedule runs each of its times once in spite of `change`.
fn makes_up(calendar: &Calendar, change: &Change) -> bool {
    let forward = change.after - change.before;
    !calendar.by_the_clock && (-CORRECTION_BACK..CORRECTION_FORWARD).contains(&forward)
}

/// The moment of the change between `from` and `to`, which have different offsets.
fn find_change(zone: &dyn Zone, from: i64, to: i64) -> Change {
    let before = utc_offset(zone, from);
    let (mut same, mut different) = (from, to);
    while different - same > 1 {
        let middle = same + (different - same) / 2;
        if utc_offset(zone, middle) == before {
            same = middle;
        } else {
            different = middle;
        }
    }
    Change {
        at: different,
        before,
        after: utc_offset(zone, different),
    }
}

fn utc_offset(zone: &dyn Zone, at: i64) -> i64 {
    zone.utc_offset(Timestamp(at * 1_000_000)).into()
}
