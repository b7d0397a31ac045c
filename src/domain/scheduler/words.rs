//! What goes into the scheduler and what comes out.

use super::Cursor;
use crate::domain::breaker::Change;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;

/// `hooks.message.id`.
pub type MessageId = i64;

/// Rows to read for one queue, in the order of (due time, id), due by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub queue_id: QueueId,
    /// Only rows after this place.
    pub after: Cursor,
    /// At most so many rows.
    pub limit: u32,
}

/// A row that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: MessageId,
    pub due_at: Timestamp,
    /// Attempts finished.
    pub attempt: u32,
    /// Attempts that do not count against the queue's `max_attempts`.
    pub attempts_before: u32,
    /// How often the worker died while this message was the suspect.
    pub deaths: u32,
    /// Bytes of headers and body.
    pub size: usize,
}

/// What to do with a row that was read. It is in flight until [`Scheduler::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Send it.
    Send(MessageId),
    /// Count a death in the table, commit, then send it: the worker may not survive it.
    ClaimAndSend(MessageId),
    /// Make it a dead letter: the worker died of it too often.
    Bury(MessageId),
}

impl Admission {
    /// The message it is about.
    #[must_use]
    pub fn id(self) -> MessageId {
        match self {
            Admission::Send(id) | Admission::ClaimAndSend(id) | Admission::Bury(id) => id,
        }
    }
}

/// What becomes of a message after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    RetryAt(Timestamp),
    Dead,
}

/// What an outcome says about a queue as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Its circuit breaker changed.
    Breaker(Change),
    /// The receiver answered 410 Gone: the queue is to be disabled.
    Gone,
}
