//! What the tables show of queues besides what the scheduler notices: which are held, as their rows or
//! secrets cannot be used, and that the breakers of the leader before are closed.

use std::collections::{BTreeMap, BTreeSet};

use super::Leader;
use crate::domain::bulletin::Kind;
use crate::domain::queue::QueueId;
use crate::session::Failure;
use crate::store;

/// Queues shown in one transaction.
const BATCH: usize = 500;

pub struct Standing {
    /// Queues of which the tables may still show breakers that the leader before had open.
    open_before: BTreeSet<QueueId>,
    /// Why queues are held, as the tables say.
    shown: BTreeMap<QueueId, String>,
    /// What they are to say instead: why a queue is held, or that it no longer is.
    changes: BTreeMap<QueueId, Option<String>>,
}

impl Standing {
    /// A leader begins, and the tables say why these queues are held, and whose breakers are open.
    pub fn begin(shown: BTreeMap<QueueId, String>, open_before: BTreeSet<QueueId>) -> Standing {
        Standing {
            open_before,
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
        self.open_before.remove(&id);
    }

    /// What the tables say of its breaker is what this leader said.
    pub fn breaker_is_own(&mut self, id: QueueId) {
        self.open_before.remove(&id);
    }

    /// Whether the tables are to say something else.
    pub fn is_news(&self) -> bool {
        !self.open_before.is_empty() || !self.changes.is_empty()
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
    /// Brings the tables up to date. What fails is tried again, and so is what somebody has locked, which keeps back
    /// no other queue.
    pub fn show_standing(&mut self) -> Result<(), Failure> {
        let breakers = self.close_earlier_breakers();
        breakers.and(self.show_held())
    }

    fn show_held(&mut self) -> Result<(), Failure> {
        let changes: Vec<_> = self.standing.changes.clone().into_iter().collect();
        let mut any_locked = false;
        for batch in changes.chunks(BATCH) {
            let locked = self.transaction(c"pg_hooks: noting which queues are held", |client| {
                let locked = store::locked_states(client, batch.iter().map(|(id, _)| *id).collect())?;
                let free = batch.iter().filter(|(id, _)| !locked.contains(id)).cloned();
                store::note_held(client, &free.collect::<Vec<_>>())?;
                Ok(locked)
            })?;
            for (id, reason) in batch.iter().filter(|(id, _)| !locked.contains(id)) {
                self.standing.settle(*id, reason.clone());
            }
            any_locked |= !locked.is_empty();
        }
        all_shown(!any_locked)
    }

    /// A leader begins with closed breakers, and tells of those that were open.
    fn close_earlier_breakers(&mut self) -> Result<(), Failure> {
        let open: Vec<QueueId> = self.standing.open_before.iter().copied().collect();
        let mut any_locked = false;
        for batch in open.chunks(BATCH) {
            let locked =
                self.telling_transaction(c"pg_hooks: closing circuit breakers", |leader, client| {
                    let locked = store::locked_states(client, batch.to_vec())?;
                    let free = batch.iter().copied().filter(|id| !locked.contains(id));
                    let mut told = Vec::new();
                    for id in store::forget_open_breakers(client, free.collect())? {
                        let reason = "a new worker leads";
                        told.extend(leader.tell_of_queue(client, Kind::Recovered, id, reason, None)?);
                    }
                    Ok((locked, told))
                })?;
            for id in batch.iter().filter(|id| !locked.contains(id)) {
                self.standing.open_before.remove(id);
            }
            any_locked |= !locked.is_empty();
        }
        all_shown(!any_locked)
    }
}

fn all_shown(all: bool) -> Result<(), Failure> {
    if all {
        Ok(())
    } else {
        Err(Failure::states_locked())
    }
}
