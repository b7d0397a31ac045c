//! What the tables show of queues besides what the scheduler notices: which are held, as their rows or
//! secrets cannot be used, and that the breakers of the leader before are closed.

use std::collections::BTreeMap;

use super::Leader;
use crate::domain::bulletin::Kind;
use crate::domain::queue::QueueId;
use crate::session::Failure;
use crate::store;

/// Queues shown in one transaction.
const BATCH: i32 = 500;

pub struct Standing {
    /// The tables may still show breakers that the leader before had open.
    shows_earlier_breakers: bool,
    /// Why queues are held, as the tables say.
    shown: BTreeMap<QueueId, String>,
    /// What they are to say instead: why a queue is held, or that it no longer is.
    changes: BTreeMap<QueueId, Option<String>>,
}

impl Standing {
    /// A leader begins, and the tables say why these queues are held.
    pub fn begin(shown: BTreeMap<QueueId, String>) -> Standing {
        Standing {
            shows_earlier_breakers: true,
            shown,
            changes: BTreeMap::new(),
        }
    }

    /// A queue was read; why it is held, if it is.
    pub fn note(&mut self, id: QueueId, reason: Option<String>) {
        let reason = reason.map(store::storable);
        if self.shown.get(&id) == reason.as_ref() {
            self.changes.remove(&id);
        } else {
            self.changes.insert(id, reason);
        }
    }

    /// A queue is gone, and what the tables said of it.
    pub fn forget(&mut self, id: QueueId) {
        self.shown.remove(&id);
        self.changes.remove(&id);
    }

    /// Whether the tables are to say something else.
    pub fn is_news(&self) -> bool {
        self.shows_earlier_breakers || !self.changes.is_empty()
    }

    fn settle(&mut self, id: QueueId, reason: Option<String>) {
        self.changes.remove(&id);
        match reason {
            Some(reason) => self.shown.insert(id, reason),
            None => self.shown.remove(&id),
        };
    }
}

impl Leader {
    /// Brings the tables up to date. What fails is tried again.
    pub fn show_standing(&mut self) -> Result<(), Failure> {
        while self.standing.shows_earlier_breakers {
            self.standing.shows_earlier_breakers = self.close_earlier_breakers()?;
        }
        while !self.standing.changes.is_empty() {
            let changes = self.standing.changes.iter().take(BATCH as usize);
            let batch: Vec<_> = changes.map(|(id, reason)| (*id, reason.clone())).collect();
            self.transaction(c"pg_hooks: noting which queues are held", |client| {
                store::note_held(client, &batch)
            })?;
            for (id, reason) in batch {
                self.standing.settle(id, reason);
            }
        }
        Ok(())
    }

    /// A leader begins with closed breakers, and tells of those that were open. Returns whether there may be more.
    fn close_earlier_breakers(&mut self) -> Result<bool, Failure> {
        self.telling_transaction(c"pg_hooks: closing circuit breakers", |leader, client| {
            let closed = store::forget_open_breakers(client, BATCH)?;
            let mut told = Vec::new();
            for id in &closed {
                told.extend(leader.tell_of_queue(
                    client,
                    Kind::Recovered,
                    *id,
                    "a new worker leads",
                    None,
                )?);
            }
            Ok((closed.len() == BATCH as usize, told))
        })
    }
}
