//! Points in time, as the pure code sees them.

use std::time::Duration;

/// Microseconds since 1970-01-01 00:00:00 UTC.
///
/// The whole range of PostgreSQL's `timestamptz` fits, with `i64::MAX` for `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Earlier than every real point in time.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// Later than every real point in time.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The point `delay` later, or [`Timestamp::MAX`] when that cannot be represented.
    #[must_use]
    pub fn after(self, delay: Duration) -> Timestamp {
        let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(micros))
    }

    /// Time from `earlier` to `self`; zero when `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds since 1970, rounded down: the form of `webhook-timestamp`.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}
