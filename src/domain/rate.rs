//! How many messages of a queue may start within an interval.

use std::time::Duration;

use super::time::Timestamp;

/// A limit: so many messages an interval on average, so many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Time that one message uses up; never zero.
    spacing_us: i64,
    /// Messages that may start at once, from 1.
    burst: u32,
}

impl RateLimit {
    /// `messages` in each `interval`, and up to `burst` at once. Values of zero count as the smallest
    /// possible ones: one message, one microsecond.
    #[must_use]
    pub fn new(messages: u32, interval: Duration, burst: u32) -> RateLimit {
        let interval_us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        RateLimit {
            spacing_us: (interval_us / i64::from(messages.max(1))).max(1),
            burst: burst.max(1),
        }
    }

    /// Microseconds that one message uses up, and how many may start at once.
    #[cfg(any(test, simulation))]
    #[must_use]
    pub fn spacing_and_burst(&self) -> (i64, u32) {
        (self.spacing_us, self.burst)
    }
}

/// What of a limit is used up: the generic cell rate algorithm (ITU-T I.371), which needs one word.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// When everything that was taken is paid off.
    paid_off: Timestamp,
    /// When something was last taken.
    last_taken: Timestamp,
}

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket::new()
    }
}

impl Bucket {
    /// A bucket nothing was taken from.
    #[must_use]
    pub fn new() -> Bucket {
        Bucket {
            paid_off: Timestamp::MIN,
            last_taken: Timestamp::MIN,
        }
    }

    /// How many messages may start now.
    #[must_use]
    pub fn available(&self, limit: &RateLimit, now: Timestamp) -> u32 {
        let debt = self.paid_off.0.saturating_sub(now.0).max(0);
        let used = debt.saturating_add(limit.spacing_us - 1) / limit.spacing_us;
        limit
            .burst
            .saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// Takes `messages` that start now.
    pub fn take(&mut self, limit: &RateLimit, now: Timestamp, messages: u32) {
        if messages == 0 {
            return;
        }
        self.last_taken = now;
        let cost = limit.spacing_us.saturating_mul(i64::from(messages));
        self.paid_off = Timestamp(self.paid_off.max(now).0.saturating_add(cost));
    }

    /// A message that was taken then did not start. Nothing comes back when others were taken since: time may have paid
    /// for it, and more would start at once than may.
    pub fn give_back(&mut self, limit: &RateLimit, taken: Timestamp) {
        if taken == self.last_taken {
            self.paid_off = Timestamp(self.paid_off.0.saturating_sub(limit.spacing_us));
        }
    }

    /// The clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        self.paid_off = self.paid_off.before(by);
        self.last_taken = Timestamp::MIN;
    }

    /// When the next message may start; in the past if one may start now.
    #[must_use]
    pub fn next_at(&self, limit: &RateLimit) -> Timestamp {
        let ahead = limit.spacing_us.saturating_mul(i64::from(limit.burst - 1));
        Timestamp(self.paid_off.0.saturating_sub(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn burst_is_available_at_once_and_refills_one_by_one() {
        let limit = RateLimit::new(10, Duration::from_secs(1), 3);
        let mut bucket = Bucket::new();
        let now = Timestamp(5 * SECOND);
        assert_eq!(bucket.available(&limit, now), 3);
        bucket.take(&limit, now, 3);
        assert_eq!(bucket.available(&limit, now), 0);
        assert_eq!(bucket.next_at(&limit), Timestamp(5 * SECOND + 100_000));
        assert_eq!(bucket.available(&limit, Timestamp(5 * SECOND + 99_999)), 0);
        assert_eq!(bucket.available(&limit, Timestamp(5 * SECOND + 100_000)), 1);
        assert_eq!(bucket.available(&limit, Timestamp(99 * SECOND)), 3);
    }

    #[test]
    fn what_is_given_back_is_available_again() {
        let limit = RateLimit::new(1, Duration::from_secs(3_600), 2);
        let mut bucket = Bucket::new();
        let now = Timestamp(5 * SECOND);
        for _ in 0..10 {
            bucket.take(&limit, now, 2);
            bucket.give_back(&limit, now);
            assert_eq!(bucket.available(&limit, now), 1);
            bucket.give_back(&limit, now);
            assert_eq!(bucket.available(&limit, now), 2);
        }
        // A limit that was changed meanwhile has nothing to give back, and gives no more than its burst.
        let mut fresh = Bucket::new();
        fresh.give_back(&limit, now);
        assert_eq!(fresh.available(&limit, now), 2);
    }

    proptest! {
        /// Some come back later than they were taken, and did not start.
        #[test]
        fn no_more_start_than_may_when_some_come_back(
            burst in 1_u32..5,
            steps in proptest::collection::vec((0_i64..300_000, any::<bool>(), any::<bool>()), 1..200),
        ) {
            let limit = RateLimit::new(5, Duration::from_secs(1), burst);
            let (mut bucket, mut now, mut starts, mut held) = (Bucket::new(), 0, Vec::new(), Vec::new());
            for (gap, is_held, comes_back) in steps {
                now += gap;
                if bucket.available(&limit, Timestamp(now)) > 0 {
                    bucket.take(&limit, Timestamp(now), 1);
                    if is_held { held.push(now) } else { starts.push(now) }
                }
                if comes_back && let Some(taken) = held.pop() {
                    bucket.give_back(&limit, Timestamp(taken));
                }
            }
            for (first, at) in starts.iter().enumerate() {
                for (last, end) in starts.iter().enumerate().skip(first) {
                    let allowed = i64::from(burst) + (end - at) / 200_000;
                    prop_assert!((last - first + 1) as i64 <= allowed, "{} of {allowed}", last - first + 1);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_interval_holds_more_than_rate_and_burst(
            messages in 1_u32..50, burst in 1_u32..20, gaps in proptest::collection::vec(0_i64..300_000, 1..200)
        ) {
            let limit = RateLimit::new(messages, Duration::from_secs(1), burst);
            let (mut bucket, mut now, mut starts) = (Bucket::new(), 0, Vec::new());
            for gap in gaps {
                now += gap;
                let available = bucket.available(&limit, Timestamp(now));
                bucket.take(&limit, Timestamp(now), available);
                starts.extend(std::iter::repeat_n(now, available as usize));
            }
            for (first, at) in starts.iter().enumerate() {
                let within = starts[first..].iter().take_while(|start| **start - at < SECOND).count();
                // Spacing is rounded down to whole microseconds.
                prop_assert!(within <= (messages + burst + 1) as usize, "{within} starts within 1 s");
            }
        }

        #[test]
        fn one_is_available_at_the_time_promised(messages in 1_u32..1000, burst in 1_u32..20, taken in 1_u32..50) {
            let limit = RateLimit::new(messages, Duration::from_secs(1), burst);
            let mut bucket = Bucket::new();
            bucket.take(&limit, Timestamp(0), taken);
            let at = bucket.next_at(&limit);
            prop_assert!(bucket.available(&limit, at.max(Timestamp(0))) >= 1);
            prop_assert!(at <= Timestamp(0) || bucket.available(&limit, Timestamp(at.0 - 1)) == 0);
        }
    }

    #[test]
    fn what_is_owed_comes_as_much_earlier_as_the_clock_was_set_back() {
        let limit = RateLimit::new(1, Duration::from_secs(10), 1);
        assert_eq!(limit.spacing_and_burst(), (10 * SECOND, 1));
        let mut bucket = Bucket::default();
        let now = Timestamp(100 * SECOND);
        bucket.take(&limit, now, 1);
        assert_eq!(bucket.next_at(&limit), Timestamp(110 * SECOND));
        bucket.set_back(Duration::from_secs(60));
        assert_eq!(bucket.next_at(&limit), Timestamp(50 * SECOND));
        assert_eq!(bucket.available(&limit, Timestamp(49 * SECOND)), 0);
        assert_eq!(bucket.available(&limit, Timestamp(50 * SECOND)), 1);
    }
}
