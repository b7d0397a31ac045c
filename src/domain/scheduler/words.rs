//! What goes into the scheduler and what comes out.

use super::Cursor;
use crate::domain::breaker::Change;
use crate::domain::failing::FailingChange;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;

/// `hooks.message.id`.
pub type MessageId = i64;

/// Identifies an ordering key within its queue: the 64-bit hash that PostgreSQL makes of it. Keys
/// that happen to share one are kept in order together.
pub type KeyHash = i64;

/// What to read for one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub queue_id: QueueId,
    /// Rows in the order of (due time, id), due by now; `None` when none are wanted.
    pub range: Option<Range>,
    /// The first row, by id, of each of these ordering keys.
    pub heads: Vec<Head>,
    /// Whether a dead letter holds back later messages of its key.
    pub dead_letters_block: bool,
}

/// A stretch of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Only rows after this place.
    pub after: Cursor,
    /// At most so many rows.
    pub limit: u32,
}

/// Where the first row of an ordering key is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub key: KeyHash,
    /// No row of the key has a lower id, as far as known.
    pub from: MessageId,
}

/// The rows that a fetch brought.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Rows of the range, in its order.
    pub rows: &'a [Candidate],
    /// When the first row after those due by now is due.
    pub next_due: Option<Timestamp>,
    /// First rows of keys, due or not, in the order they were asked for.
    pub heads: &'a [Candidate],
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
    /// No attempt starts from then on.
    pub expires_at: Option<Timestamp>,
    /// Rows of one key are sent one after the other, in the order of their ids.
    pub ordering_key: Option<KeyHash>,
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
    /// End it without another attempt: its time is over.
    Expire(MessageId),
}

impl Admission {
    /// The message it is about.
    #[must_use]
    pub fn id(self) -> MessageId {
        match self {
            Admission::Send(id)
            | Admission::ClaimAndSend(id)
            | Admission::Bury(id)
            | Admission::Expire(id) => id,
        }
    }

    /// Whether a request is made of it.
    #[must_use]
    pub fn is_sent(self) -> bool {
        matches!(self, Admission::Send(_) | Admission::ClaimAndSend(_))
    }
}

/// What becomes of a message after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    RetryAt(Timestamp),
    Dead,
    /// The next attempt would come at this time, and that is not before the end that it had when it was read.
    Expired {
        retry_at: Timestamp,
        /// Whether it becomes a dead letter.
        is_buried: bool,
    },
}

impl Verdict {
    /// Whether it makes a dead letter of the message.
    #[must_use]
    pub fn buries(self) -> bool {
        matches!(self, Verdict::Dead | Verdict::Expired { is_buried: true, .. })
    }
}

/// What an outcome says about a queue as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Its circuit breaker changed.
    Breaker(Change),
    /// The receiver answered 410 Gone: the queue is to be disabled.
    Gone,
    /// It only fails, or does so no more.
    Failing(FailingChange),
}
