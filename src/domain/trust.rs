//! How many slots a queue may hold, as its receiver proves that it gives them back.
//!
//! A receiver that hangs keeps every slot it was given until the timeout. So a queue begins with a small
//! share of the free slots, and each answer lets it hold twice as many as there were when the answer
//! came. What was proven a while ago and is not used is forgotten.

use std::time::Duration;

use super::time::Timestamp;

/// How long an answer proves something: one to two times this.
const WINDOW: Duration = Duration::from_secs(10);

/// What one receiver has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Slots it may hold, by what the last window and this one have shown.
    proven: u32,
    /// The same by this window alone.
    current: u32,
    window_began: Timestamp,
}

impl Trust {
    /// Nothing is known of the receiver.
    #[must_use]
    pub fn none() -> Trust {
        Trust {
            proven: 0,
            current: 0,
            window_began: Timestamp::MIN,
        }
    }

    /// An answer came while so many messages of the queue were in flight, itself among them.
    pub fn answered(&mut self, in_flight: u32, now: Timestamp) {
        if now >= self.window_began.after(WINDOW) {
            let over = now >= self.window_began.after(WINDOW * 2);
            self.proven = if over { 0 } else { self.current };
            self.current = 0;
            self.window_began = now;
        }
        self.current = self.current.max(in_flight.saturating_mul(2));
        self.proven = self.proven.max(self.current);
    }

    /// The clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        self.window_began = self.window_began.before(by);
    }

    /// Slots that the queue may hold while so many of all `slots` are free.
    ///
    /// Without any proof that is a sixteenth of all when they are free, and quadratically less when
    /// others hold them: thirty queues that hang leave a third of the slots, a hundred a twelfth.
    #[must_use]
    pub fn limit(&self, free: usize, slots: usize, now: Timestamp) -> usize {
        let unproven = (free * free / (16 * slots.max(1))).max(1);
        if now >= self.window_began.after(WINDOW * 2) {
            unproven
        } else {
            unproven.max(self.proven as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn begins_with_a_sixteenth_of_free_slots_and_one_at_least() {
        let trust = Trust::none();
        assert_eq!(trust.limit(256, 256, Timestamp(0)), 16);
        assert_eq!(trust.limit(128, 256, Timestamp(0)), 4);
        assert_eq!(trust.limit(3, 256, Timestamp(0)), 1);
    }

    #[test]
    fn each_answer_allows_twice_what_was_in_flight() {
        let mut trust = Trust::none();
        trust.answered(16, Timestamp(0));
        assert_eq!(trust.limit(100, 256, Timestamp(1)), 32);
        trust.answered(32, Timestamp(1));
        trust.answered(5, Timestamp(2));
        assert_eq!(trust.limit(100, 256, Timestamp(3)), 64);
    }

    #[test]
    fn proof_is_forgotten_when_it_is_not_given_again() {
        let mut trust = Trust::none();
        trust.answered(100, Timestamp(0));
        trust.answered(4, Timestamp(11 * SECOND));
        assert_eq!(trust.limit(16, 256, Timestamp(12 * SECOND)), 200);
        trust.answered(4, Timestamp(22 * SECOND));
        assert_eq!(trust.limit(16, 256, Timestamp(22 * SECOND)), 8);
        assert_eq!(trust.limit(16, 256, Timestamp(42 * SECOND)), 1);
    }

    #[test]
    fn many_that_hang_leave_slots_for_others() {
        for (hanging, left) in [(10, 150), (30, 85), (100, 21)] {
            let mut free = 256;
            for _ in 0..hanging {
                free -= Trust::none().limit(free, 256, Timestamp(0)).min(free);
            }
            assert!(free >= left, "{free} slots left by {hanging}");
        }
    }

    #[test]
    fn trust_outlasts_a_clock_that_is_set_back() {
        let mut trust = Trust::none();
        trust.answered(32, Timestamp(1000 * SECOND));
        let earned = trust.limit(256, 256, Timestamp(1001 * SECOND));
        assert_eq!(earned, 64);
        trust.set_back(Duration::from_secs(900));
        assert_eq!(trust.limit(256, 256, Timestamp(101 * SECOND)), earned);
        assert_eq!(trust.limit(256, 256, Timestamp(200 * SECOND)), 16);
    }
}
