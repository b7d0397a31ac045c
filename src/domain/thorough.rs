//! How often to look everywhere, where that may take long: rarely enough to cost next to nothing.

use std::time::Duration;

use super::time::Timestamp;

/// A look that takes no longer holds nobody up.
const SHORT: Duration = Duration::from_millis(20);
/// The part of the time that longer ones may take is one in so many.
const PART: u32 = 1000;
/// However long one takes, the next is no further away.
const MOST_REST: Duration = Duration::from_secs(600);

/// When to look everywhere again.
pub struct Thorough {
    longest: Duration,
    not_before: Timestamp,
    /// There is to be one by then all the same.
    owed_by: Option<Timestamp>,
}

impl Thorough {
    #[must_use]
    pub fn begin() -> Thorough {
        Thorough {
            longest: Duration::ZERO,
            not_before: Timestamp::MIN,
            owed_by: None,
        }
    }

    /// When the next one may begin.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        let owed_by = self.owed_by.unwrap_or(self.not_before);
        self.not_before.min(owed_by)
    }

    /// There is to be one by this time, or by an earlier one that was said before.
    pub fn owe(&mut self, by: Timestamp) {
        self.owed_by.get_or_insert(by);
    }

    /// Whether one may begin now. A time that lies too far ahead is of a clock that was set back since.
    #[must_use]
    pub fn may_begin(&self, now: Timestamp) -> bool {
        let at = self.not_before();
        at <= now || at.since(now) > MOST_REST
    }

    /// One has begun.
    pub fn began(&mut self) {
        self.owed_by = None;
    }

    /// One step of it took so long.
    pub fn took(&mut self, step: Duration) {
        self.longest = self.longest.max(step);
    }

    /// One has ended.
    pub fn end(&mut self, now: Timestamp) {
        let longest = std::mem::take(&mut self.longest);
        self.not_before = if longest > SHORT {
            now.after(longest.saturating_mul(PART).min(MOST_REST))
        } else {
            Timestamp::MIN
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000_000);

    fn after(steps: &[u64]) -> Thorough {
        let mut thorough = Thorough::begin();
        for step in steps {
            thorough.took(Duration::from_millis(*step));
        }
        thorough.end(NOW);
        thorough
    }

    #[test]
    fn looks_that_are_short_may_follow_one_another() {
        assert!(Thorough::begin().may_begin(NOW));
        assert!(after(&[3, 20, 5]).may_begin(NOW));
    }

    #[test]
    fn after_a_long_one_there_is_a_rest_that_is_longer_still_and_ends() {
        let in_seconds = |seconds| NOW.after(Duration::from_secs(seconds));
        let thorough = after(&[3, 30, 5]);
        assert!(!thorough.may_begin(in_seconds(29)) && thorough.may_begin(in_seconds(30)));
        let thorough = after(&[60_000]);
        assert!(!thorough.may_begin(in_seconds(599)) && thorough.may_begin(in_seconds(600)));
    }

    #[test]
    fn one_that_is_owed_comes_by_its_time_and_once() {
        let in_seconds = |seconds| NOW.after(Duration::from_secs(seconds));
        let mut thorough = after(&[60_000]);
        thorough.owe(in_seconds(30));
        thorough.owe(in_seconds(40));
        assert!(!thorough.may_begin(in_seconds(29)) && thorough.may_begin(in_seconds(30)));
        thorough.began();
        thorough.took(Duration::from_secs(60));
        thorough.end(in_seconds(90));
        assert!(!thorough.may_begin(in_seconds(120)) && thorough.may_begin(in_seconds(690)));
    }

    #[test]
    fn rest_ends_when_the_clock_is_set_back_and_after_a_short_one() {
        let mut thorough = after(&[60_000]);
        assert!(thorough.may_begin(NOW.before(Duration::from_secs(3600))));
        thorough.took(Duration::from_millis(1));
        thorough.end(NOW);
        assert!(thorough.may_begin(NOW));
    }
}
