//! Shows in shared memory what each queue has on the wire.

use std::time::Duration;

use super::Leader;
use crate::domain::time::Timestamp;

/// So few are shown at once.
const FEW: usize = 64;
/// Of more, changes are shown as often as this.
const INTERVAL: Duration = Duration::from_millis(100);

/// What was shown last.
pub struct Showing {
    changes: u64,
    next: Timestamp,
}

impl Showing {
    pub fn new() -> Showing {
        Showing {
            changes: 0,
            next: Timestamp::MIN,
        }
    }

    /// The clock was set back.
    pub fn set_back(&mut self, now: Timestamp) {
        self.next = now.min(self.next);
    }
}

impl Leader {
    /// Costs a walk along what is in flight.
    pub fn show_flights(&mut self, now: Timestamp) {
        let is_small = self.scheduler.in_flight() <= FEW;
        if self.shows_all() || (now < self.showing.next && !is_small) {
            return;
        }
        self.database.board.show(self.scheduler.in_flight_by_queue());
        self.showing.changes = self.scheduler.flight_changes();
        self.showing.next = now.after(INTERVAL);
    }

    /// When to show what has changed; `None` when nothing has.
    pub fn next_showing(&self) -> Option<Timestamp> {
        (!self.shows_all()).then_some(self.showing.next)
    }

    fn shows_all(&self) -> bool {
        self.showing.changes == self.scheduler.flight_changes()
    }
}
