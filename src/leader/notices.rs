//! Showing in the tables what happens to a queue as a whole: breakers, and queues switched off.

use std::collections::BTreeSet;

use super::Leader;
use crate::domain::breaker::Change;
use crate::domain::bulletin::Kind;
use crate::domain::failing::FailingChange;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::Notice;
use crate::session::{self, Failure};
use crate::{log, store};

/// After so many failures the rest waits: each may have taken as long as the leader waits for a lock.
const MOST_FAILURES: usize = 3;

fn disables(notice: Notice) -> bool {
    matches!(
        notice,
        Notice::Gone | Notice::Breaker(Change::GaveUp) | Notice::Failing(FailingChange::GiveUp)
    )
}

impl Leader {
    /// Takes in what the scheduler learnt. That a queue is to be disabled is said by every answer of its
    /// receiver, and done once. Nothing more is sent to it from here on, however long it takes to write that down.
    pub fn take_notice(&mut self, (queue_id, notice): (QueueId, Notice)) {
        if disables(notice) {
            let active = self.scheduler.queue(queue_id).is_some_and(|queue| queue.active);
            if !active || self.is_to_be_disabled(queue_id) {
                return;
            }
            self.scheduler.suspend_queue(queue_id);
        }
        self.notices.push((queue_id, notice));
    }

    /// Whether that is noted and not done yet.
    pub fn is_to_be_disabled(&self, queue_id: QueueId) -> bool {
        let noted = |(id, notice): &(QueueId, Notice)| *id == queue_id && disables(*notice);
        self.notices.iter().any(noted)
    }

    /// Stores and logs what is new. What fails is tried again, after what follows for the same queue, and stops no
    /// other queue.
    pub fn show_notices(&mut self) -> Result<(), Failure> {
        let mut failing = BTreeSet::new();
        let mut first_failure = None;
        let mut next = 0;
        while let Some((queue_id, notice)) = self.notices.get(next).copied() {
            if failing.contains(&queue_id) {
                next += 1;
            } else if let Err(failure) = self.show_next(next, queue_id, notice) {
                failing.insert(queue_id);
                first_failure.get_or_insert(failure);
                if failing.len() >= MOST_FAILURES {
                    break;
                }
            }
        }
        // Others come first the next time; what concerns one queue keeps its order.
        self.notices
            .sort_by_key(|(queue_id, _)| failing.contains(queue_id));
        first_failure.map_or(Ok(()), Err)
    }

    fn show_next(&mut self, place: usize, queue_id: QueueId, notice: Notice) -> Result<(), Failure> {
        self.show(queue_id, notice)?;
        if !disables(notice) {
            self.notices.remove(place);
            return Ok(());
        }
        // Before the row is read: somebody may have switched it on again.
        self.notices
            .retain(|(id, notice)| *id != queue_id || !disables(*notice));
        self.load_changed(vec![queue_id])
    }

    fn show(&mut self, queue_id: QueueId, notice: Notice) -> Result<(), Failure> {
        match notice {
            Notice::Breaker(change) => self.show_breaker(queue_id, change),
            Notice::Gone => self.disable(queue_id, "its receiver answered 410 Gone"),
            Notice::Failing(FailingChange::Note { since, last }) => self.note_state(queue_id, |client| {
                store::note_failing(client, queue_id, since, last)
            }),
            Notice::Failing(FailingChange::Forget) => {
                self.note_state(queue_id, |client| store::note_well(client, queue_id))
            }
            Notice::Failing(FailingChange::GiveUp) => {
                self.disable(queue_id, "every attempt has failed for hooks.disable_after")
            }
        }
    }

    fn show_breaker(&mut self, queue_id: QueueId, change: Change) -> Result<(), Failure> {
        match change {
            Change::Tripped { until } => {
                let shown = self.show_state(queue_id, |leader, client| {
                    if !store::note_open_breaker(client, queue_id, until)? {
                        return Ok(None);
                    }
                    let reason = "too many attempts failed";
                    let kind = Kind::Tripped;
                    let told = leader.tell_of_queue(client, kind, queue_id, reason, Some(until))?;
                    Ok(Some(told))
                })?;
                if shown {
                    log::breaker_opened(queue_id);
                }
            }
            Change::StillOpen { until } => {
                self.note_state(queue_id, |client| {
                    store::note_open_breaker(client, queue_id, until).map(drop)
                })?;
            }
            Change::Recovered => {
                let shown = self.show_state(queue_id, |leader, client| {
                    if !store::note_closed_breaker(client, queue_id)? {
                        return Ok(None);
                    }
                    let (kind, reason) = (Kind::Recovered, "its receiver is back");
                    Ok(Some(leader.tell_of_queue(client, kind, queue_id, reason, None)?))
                })?;
                if shown {
                    log::breaker_closed(queue_id);
                }
            }
            Change::GaveUp => self.disable(queue_id, "its receiver did not come back")?,
        }
        self.standing.breaker_is_own(queue_id);
        Ok(())
    }

    fn disable(&mut self, queue_id: QueueId, reason: &str) -> Result<(), Failure> {
        let disabled = self.show_state(queue_id, |leader, client| {
            if !store::disable_queue(client, queue_id, reason)? {
                return Ok(None);
            }
            let kind = Kind::Disabled;
            Ok(Some(leader.tell_of_queue(client, kind, queue_id, reason, None)?))
        })?;
        if disabled {
            log::queue_disabled(queue_id, reason);
        }
        Ok(())
    }

    /// Shows the state of a queue, and tells of it, unless somebody has it locked. `work` gives the queues that are
    /// told; `None` when there was nothing to show, as this returns.
    fn show_state(
        &mut self,
        queue_id: QueueId,
        work: impl FnOnce(&Leader, &mut session::Client<'_>) -> Result<Option<Vec<QueueId>>, Failure>,
    ) -> Result<bool, Failure> {
        self.telling_transaction(c"pg_hooks: noting the state of a queue", |leader, client| {
            if !store::locked_states(client, vec![queue_id])?.is_empty() {
                return Err(Failure::states_locked());
            }
            let told = work(leader, client)?;
            Ok((told.is_some(), told.unwrap_or_default()))
        })
    }

    /// As above, and nobody is told.
    fn note_state(
        &mut self,
        queue_id: QueueId,
        note: impl FnOnce(&mut session::Client<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.show_state(queue_id, |_, client| note(client).map(|()| None))
            .map(drop)
    }
}
