//! When an entry of `hooks.cron` runs: five-field expressions, intervals, and clock changes.
//!
//! An expression means what it means to Debian's cron (package `cron` 3.0pl1; crontab(5), cron(8),
//! `entry.c`, `cron.c`), and where Debian refuses what crontab.guru takes, what it means there:
//!
//! - `minute hour day-of-month month day-of-week`, each a list of `*`, `a`, `a-b`, `*/n`, `a-b/n` and
//!   `a/n` (from `a` to the end of the field, crontab.guru). Names `jan`..`dec`, `sun`..`sat`; Sunday is 0
//!   and 7. A sixth field, put first, is seconds; without it entries run at second 0.
//! - `@hourly @daily @midnight @weekly @monthly @yearly @annually`.
//! - A day matches when day of month *or* day of week matches, but when one of these two fields starts
//!   with `*`, be it `*/2`, both have to (`DOM_STAR`, `DOW_STAR` in `entry.c`; `find_jobs` in `cron.c`).
//! - `every 5 minutes`, also without the `every`, as pg_cron writes it: whenever Unix time is a multiple
//!   of the interval, whatever the time zone.
//!
//! When the clocks change, by cron(8), "Notes", and the main loop of `cron.c`:
//!
//! - An entry whose hour or minute field starts with `*` goes by the clock (`HR_STAR`, `MIN_STAR`): it
//!   runs at every matching time that clocks show, twice in a repeated hour, not at all in a skipped
//!   one. A seconds field that starts with `*` counts likewise; cron has none.
//! - Any other entry has fixed times. One that is skipped is made up for at the moment the clocks go
//!   forward, and in a repeated hour only the first one counts. Where cron would start the same job
//!   several times in that one minute, for several skipped times or one that falls due anyway, the
//!   entry runs once.
//! - A change by more than three hours, or three hours forward, is a correction: every entry goes by the
//!   clock. The day that Samoa left out in 2011 is made up for by nobody.
//!
//! The crate `cron` finds matching wall-clock times, in 0.25 us; an entry takes about 1 kB. It is asked
//! in UTC only, as it skips and repeats runs when clocks change, and with day of week counted from 1.
//! Its calendar ends with the year 2100, and so do entries.

mod calendar;
mod clock;
mod due;
mod error;
mod field;
mod interval;
mod missed;
mod parse;
#[cfg(test)]
mod tests;

use std::iter;
use std::str::FromStr;

use self::calendar::Calendar;
pub use self::clock::Zone;
pub use self::due::{Due, due};
pub use self::error::{CronError, FieldError};
pub use self::field::Field;
use self::interval::Interval;
pub use self::missed::{MissedPolicy, ON_TIME, Tick, missed};
use super::time::Timestamp;

/// When to run. See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Calendar(Box<Calendar>),
    Interval(Interval),
}

impl FromStr for Schedule {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Schedule, CronError> {
        parse::parse(text).map(|kind| Schedule { kind })
    }
}

impl Schedule {
    /// The first run strictly after `after`, at a whole second; before 1970 there are none.
    ///
    /// `None` when there is none before the end of 2100. An expression that matches no date at all is
    /// refused when parsed, and until 2100 each date comes back on its weekday within 28 years, so
    /// before 2072 `None` can only mean a schedule by the clock all of whose times are skipped.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, zone: &dyn Zone) -> Option<Timestamp> {
        let next = match &self.kind {
            Kind::Calendar(calendar) => clock::next_run(calendar, zone, after.unix_seconds()),
            Kind::Interval(interval) => interval.next_run(after.unix_seconds()),
        }?;
        let next = Timestamp(next.checked_mul(1_000_000)?);
        (next > after).then_some(next)
    }
}

/// The next `n` runs after `from`, in order; fewer when the schedule ends.
pub fn preview<'a>(
    schedule: &'a Schedule,
    zone: &'a dyn Zone,
    from: Timestamp,
    n: usize,
) -> impl Iterator<Item = Timestamp> + 'a {
    let after = move |at: &Timestamp| schedule.next_after(*at, zone);
    iter::successors(after(&from), after).take(n)
}
