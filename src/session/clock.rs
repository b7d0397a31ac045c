//! Time as PostgreSQL counts it, and as `domain` does.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;

use crate::domain::time::Timestamp;

/// From 1970, where Unix begins, to 2000, where PostgreSQL begins; in microseconds.
const UNIX_TO_POSTGRES: i64 = 946_684_800_000_000;

/// The time now.
pub fn now() -> Timestamp {
    // SAFETY: reads the clock.
    unix_time(unsafe { pg_sys::GetCurrentTimestamp() })
}

/// How long this thread has worked so far: waiting does not count.
pub fn time_worked() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// PostgreSQL's time as ours; its infinities become the ends of the range.
pub fn from_postgres(time: TimestampWithTimeZone) -> Timestamp {
    unix_time(time.into())
}

/// PostgreSQL's time in its microseconds.
pub fn micros(time: TimestampWithTimeZone) -> pg_sys::TimestampTz {
    time.into()
}

/// PostgreSQL's microseconds as ours.
pub fn unix_time(micros: pg_sys::TimestampTz) -> Timestamp {
    Timestamp(match micros {
        i64::MIN | i64::MAX => micros,
        _ => micros.saturating_add(UNIX_TO_POSTGRES),
    })
}

/// Our time as PostgreSQL's; what lies outside of its range becomes an infinity.
pub fn to_postgres(time: Timestamp) -> TimestampWithTimeZone {
    from_micros(match time.0 {
        i64::MIN | i64::MAX => time.0,
        micros => micros.saturating_sub(UNIX_TO_POSTGRES),
    })
}

/// PostgreSQL's microseconds as its time; what lies outside of its range becomes an infinity.
pub fn from_micros(micros: pg_sys::TimestampTz) -> TimestampWithTimeZone {
    let infinity = if micros < 0 {
        TimestampWithTimeZone::negative_infinity
    } else {
        TimestampWithTimeZone::positive_infinity
    };
    TimestampWithTimeZone::try_from(micros).unwrap_or_else(|_| infinity())
}
