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

    /// The point `delay` earlier, or [`Timestamp::MIN`] when that cannot be represented.
    #[must_use]
    pub fn before(self, delay: Duration) -> Timestamp {
        let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(micros))
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

    /// RFC 3339 in UTC with microseconds: `2024-01-02T03:04:05.000006Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let (days, micros) = (self.0.div_euclid(DAY_MICROS), self.0.rem_euclid(DAY_MICROS));
        let (year, month, day) = civil_date(days);
        let seconds = micros / 1_000_000;
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            micros % 1_000_000
        )
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Year, month and day of a day counted from 1970-01-01. Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", civil_from_days.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timestamp;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_704_164_645_000_120, "2024-01-02T03:04:05.000120Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ];
        for (micros, expected) in cases {
            assert_eq!(Timestamp(micros).to_rfc3339(), expected);
        }
    }

    #[test]
    fn before_undoes_after_and_neither_overflows() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Timestamp(7).after(hour).before(hour), Timestamp(7));
        assert_eq!(Timestamp(7).before(Duration::from_micros(8)), Timestamp(-1));
        assert_eq!(Timestamp::MIN.before(hour), Timestamp::MIN);
        assert_eq!(Timestamp(0).before(Duration::MAX), Timestamp(-i64::MAX));
        assert_eq!(Timestamp(0).after(Duration::MAX), Timestamp(i64::MAX));
    }
}
