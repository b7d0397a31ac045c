//! `every 5 minutes`: intervals of a fixed length.

use super::error::CronError;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Longest interval, in days.
pub const MAX_DAYS: i64 = 366;

/// Runs whenever the Unix time in seconds is a multiple of the period.
///
/// So when it runs depends neither on who leads nor on when that one started, as it does in pg_cron,
/// which counts from the last start. No time zone matters: `every 1 day` is midnight in UTC, and
/// `every 2 hours` goes on evenly when the clocks change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Seconds, from 1 to `MAX_DAYS` days.
    period: i64,
}

impl Interval {
    /// `5 minutes`, or a unit alone for one of it.
    pub fn parse(words: &[&str]) -> Result<Interval, CronError> {
        let (count, unit) = match words {
            [unit] => ("1", unit),
            [count, unit] => (*count, unit),
            _ => return Err(CronError::IntervalForm),
        };
        let unit = unit_seconds(unit).ok_or_else(|| CronError::IntervalUnit((*unit).to_owned()))?;
        let not_a_number = || CronError::IntervalCount(count.to_owned());
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_a_number());
        }
        let count: i64 = count.parse().map_err(|_| CronError::IntervalTooLong)?;
        match count.saturating_mul(unit) {
            0 => Err(not_a_number()),
            period if period > MAX_DAYS * DAY => Err(CronError::IntervalTooLong),
            period => Ok(Interval { period }),
        }
    }

    /// The first run after `after`, in Unix time.
    pub fn next_run(self, after: i64) -> Option<i64> {
        let count = after.max(-1).div_euclid(self.period) + 1;
        count.checked_mul(self.period)
    }
}

/// Length in seconds of a unit, in singular or plural.
pub fn unit_seconds(unit: &str) -> Option<i64> {
    match unit.to_ascii_lowercase().as_str() {
        "second" | "seconds" => Some(1),
        "minute" | "minutes" => Some(MINUTE),
        "hour" | "hours" => Some(HOUR),
        "day" | "days" => Some(DAY),
        _ => None,
    }
}
