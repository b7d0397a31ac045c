//! Caution after the worker died: a message that kills it must be found, not retried for ever.
//!
//! What was due at the start is sent only after a death was counted for it in the table; a result
//! that is recorded takes the count back. Messages that are left with a count are the suspects of a
//! further death. They are sent one at a time, so that only the culprit collects deaths.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Admission, Candidate, MessageId};
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;

/// A message that the worker died of so often becomes a dead letter. Its row counts all deaths but the first,
/// before which nothing was suspected.
pub const MAX_DEATHS: u32 = 3;

/// Probation ends when the worker has lived so long.
const LASTS: Duration = Duration::from_secs(60);

pub struct Probation {
    /// Start of a leader whose predecessor did not end in order.
    began: Option<Timestamp>,
    suspect: Option<MessageId>,
    /// From when on queues are to be read again for suspects that were passed over.
    deferred: BTreeMap<QueueId, Timestamp>,
}

impl Probation {
    pub fn new(began: Option<Timestamp>) -> Probation {
        Probation {
            began,
            suspect: None,
            deferred: BTreeMap::new(),
        }
    }

    /// What to do with a row; `None` to come back to it later.
    pub fn admit(&mut self, queue_id: QueueId, row: &Candidate, now: Timestamp) -> Option<Admission> {
        if row.deaths + 1 >= MAX_DEATHS {
            return Some(Admission::Bury(row.id));
        }
        if row.deaths > 0 {
            if self.suspect.is_some() {
                let earliest = self.deferred.entry(queue_id).or_insert(row.due_at);
                *earliest = row.due_at.min(*earliest);
                return None;
            }
            self.suspect = Some(row.id);
            return Some(Admission::ClaimAndSend(row.id));
        }
        let on_probation = self
            .began
            .is_some_and(|began| row.due_at <= began && now < began.after(LASTS));
        Some(if on_probation {
            Admission::ClaimAndSend(row.id)
        } else {
            Admission::Send(row.id)
        })
    }

    /// A message is no longer in flight. Returns the rows to come back to.
    pub fn release(&mut self, id: MessageId) -> BTreeMap<QueueId, Timestamp> {
        if self.suspect != Some(id) {
            return BTreeMap::new();
        }
        self.suspect = None;
        std::mem::take(&mut self.deferred)
    }
}
