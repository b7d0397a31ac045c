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
