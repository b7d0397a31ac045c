//! What is known of one queue while its messages are sent.

use std::sync::Arc;

use super::Fetch;
use crate::domain::queue::Queue;
use crate::domain::time::Timestamp;

/// A place in the order of (due time, id); rows after it are not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub due_at: Timestamp,
    pub id: i64,
}

impl Cursor {
    /// Before every row due at `at`.
    #[must_use]
    pub fn before(at: Timestamp) -> Cursor {
        Cursor {
            due_at: at,
            id: i64::MIN,
        }
    }
}

/// One queue.
pub struct Lane {
    pub queue: Arc<Queue>,
    pub in_flight: u32,
    /// Bytes of what is in flight.
    pub bytes: usize,
    pub cursor: Cursor,
    /// No row that is not read yet is due before this; [`Timestamp::MAX`] if none is known.
    pub next_due: Timestamp,
    /// The last fetch left due rows unread.
    pub has_more: bool,
    /// Messages the running fetch may bring.
    pub granted: u32,
    /// It stands in the row of turns.
    pub in_turn: bool,
    /// It waits for others to give slots or bytes back.
    pub squeezed: bool,
    /// It stands among the waiting, under this time.
    pub waits_until: Option<Timestamp>,
    /// The furthest the cursor ever was: up to here a fetch also meets rows in flight.
    furthest: Cursor,
}

impl Lane {
    pub fn new(queue: Arc<Queue>) -> Lane {
        Lane {
            queue,
            in_flight: 0,
            bytes: 0,
            squeezed: false,
            cursor: Cursor::before(Timestamp::MIN),
            next_due: Timestamp::MAX,
            has_more: false,
            granted: 0,
            in_turn: false,
            waits_until: None,
            furthest: Cursor::before(Timestamp::MIN),
        }
    }

    /// A row may be due at `at`. Returns whether that changes when to read.
    pub fn note(&mut self, at: Timestamp) -> bool {
        if at <= self.cursor.due_at {
            self.furthest = self.furthest.max(self.cursor);
            self.cursor = Cursor::before(at);
        }
        let earlier = at < self.next_due;
        if earlier {
            self.next_due = at;
        }
        earlier
    }

    /// Whether it may send and has, or will have, something to read.
    pub fn wants_reading(&self) -> bool {
        self.queue.active
            && self.granted == 0
            && !self.squeezed
            && self.in_flight < self.queue.max_in_flight
            && (self.has_more || self.next_due < Timestamp::MAX)
    }

    /// The fetch for at most `share` messages; `None` when the queue cannot send now.
    pub fn grant(&mut self, share: u32) -> Option<Fetch> {
        if !self.wants_reading() {
            return None;
        }
        self.granted = share.min(self.queue.max_in_flight - self.in_flight);
        let known = if self.cursor < self.furthest {
            self.in_flight
        } else {
            0
        };
        // Notes that come while the rows are read start from here.
        self.next_due = Timestamp::MAX;
        self.has_more = false;
        Some(Fetch {
            queue_id: self.queue.id,
            after: self.cursor,
            limit: self.granted.saturating_add(known),
        })
    }

    /// Rows were read; `all` says whether these were all that is due.
    pub fn read(&mut self, all: bool, next_due: Option<Timestamp>) {
        self.has_more = !all;
        let next_due = if all {
            next_due.unwrap_or(Timestamp::MAX)
        } else {
            self.cursor.due_at
        };
        self.next_due = self.next_due.min(next_due);
    }
}
