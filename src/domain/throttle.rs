//! How many messages of a queue may be on the wire at once, as its receiver bears it.
//!
//! Additive increase, multiplicative decrease, as TCP does it: a receiver that says "too much" halves
//! the number, each delivery adds one, up to the queue's own limit.

/// Statuses by which a receiver, or a gateway before it, says that it is overloaded.
const OVERLOADED: [u16; 4] = [429, 502, 503, 504];

/// The current number for one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    limit: u32,
}

impl Throttle {
    /// No throttling.
    #[must_use]
    pub fn open() -> Throttle {
        Throttle { limit: u32::MAX }
    }

    /// One at a time, as after an outage: the number grows with each delivery, so that a backlog does
    /// not fall on a receiver that has just come back.
    #[must_use]
    pub fn slow_start() -> Throttle {
        Throttle { limit: 1 }
    }

    /// How many may be on the wire, of a queue that allows `max`.
    #[must_use]
    pub fn limit(self, max: u32) -> u32 {
        self.limit.min(max)
    }

    /// Takes an answer into account; `max` is the queue's own limit.
    pub fn answered(&mut self, status: u16, accepted: bool, max: u32) {
        if accepted {
            self.limit = self.limit.saturating_add(1);
        } else if OVERLOADED.contains(&status) {
            self.limit = (self.limit(max) / 2).max(1);
        }
        if self.limit >= max {
            *self = Throttle::open();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_halves_and_deliveries_add_one() {
        let mut throttle = Throttle::open();
        throttle.answered(429, false, 64);
        assert_eq!(throttle.limit(64), 32);
        throttle.answered(503, false, 64);
        assert_eq!(throttle.limit(64), 16);
        throttle.answered(200, true, 64);
        assert_eq!(throttle.limit(64), 17);
    }

    #[test]
    fn one_message_always_goes() {
        let mut throttle = Throttle::open();
        for _ in 0..100 {
            throttle.answered(504, false, 64);
        }
        assert_eq!(throttle.limit(64), 1);
    }

    #[test]
    fn other_failures_do_not_throttle() {
        let mut throttle = Throttle::open();
        throttle.answered(500, false, 64);
        throttle.answered(404, false, 64);
        assert_eq!(throttle, Throttle::open());
    }

    #[test]
    fn throttling_ends_at_the_own_limit() {
        let mut throttle = Throttle::slow_start();
        for _ in 0..64 {
            throttle.answered(200, true, 64);
        }
        assert_eq!(throttle, Throttle::open());
        assert_eq!(throttle.limit(1000), 1000);
    }
}
