//! How long a step on the way to a connection may take.

use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::NextTimeout;

use super::failure::Failure;
use crate::domain::outcome::Unreachable;

/// A bound of our own within the attempt's timeout.
///
/// Which of the two ran out decides how the attempt ends: the queue's timeout is a time-out, while our
/// own bound means that no connection came about.
pub struct Limit {
    deadline: Instant,
    timeout: NextTimeout,
    bound: Duration,
}

impl Limit {
    /// Begins now: what is left of the attempt's `timeout`, and at most `bound`.
    pub fn new(timeout: NextTimeout, bound: Duration) -> Limit {
        Limit {
            deadline: Instant::now() + bound.min(*timeout.after),
            timeout,
            bound,
        }
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The error for having run out while `doing` something.
    pub fn ran_out(&self, cause: Unreachable, doing: &str) -> Error {
        if *self.timeout.after <= self.bound {
            return Error::Timeout(self.timeout.reason);
        }
        let detail = format!("{doing} took longer than {} ms", self.bound.as_millis());
        Failure::Unreachable { cause, detail }.into()
    }
}

#[cfg(test)]
mod tests {
    use ureq::Timeout;

    use super::*;

    fn limit(timeout: Duration, bound: Duration) -> Limit {
        let timeout = NextTimeout {
            after: timeout.into(),
            reason: Timeout::Global,
            ..NextTimeout::default()
        };
        Limit::new(timeout, bound)
    }

    #[test]
    fn earlier_of_both_is_the_deadline_and_says_how_the_attempt_ends() {
        let (short, long) = (Duration::from_millis(1500), Duration::from_secs(600));
        let of_queue = limit(short, long);
        assert!(of_queue.left() <= short && of_queue.deadline() <= Instant::now() + short);
        let ran_out = of_queue.ran_out(Unreachable::Dns, "resolving host \"a\"");
        assert!(matches!(ran_out, Error::Timeout(Timeout::Global)), "{ran_out:?}");
        let ours = limit(long, short);
        assert!(ours.left() <= short);
        let expected = Failure::Unreachable {
            cause: Unreachable::Dns,
            detail: "resolving host \"a\" took longer than 1500 ms".to_owned(),
        };
        match ours.ran_out(Unreachable::Dns, "resolving host \"a\"") {
            Error::Other(other) => assert_eq!(other.downcast_ref(), Some(&expected)),
            other => panic!("{other:?}"),
        }
        assert!(limit(Duration::ZERO, long).left().is_zero());
    }
}
