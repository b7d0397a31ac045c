//! Showing in the tables what happens to a queue as a whole: breakers, and queues switched off.

use super::Leader;
use crate::domain::breaker::Change;
use crate::domain::bulletin::Kind;
use crate::domain::failing::FailingChange;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::Notice;
use crate::session::{self, Failure};
use crate::{log, store};

impl Leader {
    /// Takes in what the scheduler learnt. That a queue is to be disabled is said by every answer of its
    /// receiver, and done once.
    pub fn take_notice(&mut self, (queue_id, notice): (QueueId, Notice)) {
        let disables = matches!(
            notice,
            Notice::Gone | Notice::Breaker(Change::GaveUp) | Notice::Failing(FailingChange::GiveUp)
        );
        let active = self.scheduler.queue(queue_id).is_some_and(|queue| queue.active);
        let known = self.notices.contains(&(queue_id, notice));
        if !(disables && (known || !active)) {
            self.notices.push((queue_id, notice));
        }
    }

    /// Stores and logs what is new. What fails is tried again.
    pub fn show_notices(&mut self) -> Result<(), Failure> {
        while let Some((queue_id, notice)) = self.notices.first().copied() {
            self.show(queue_id, notice)?;
            self.notices.remove(0);
        }
        Ok(())
    }

    fn show(&mut self, queue_id: QueueId, notice: Notice) -> Result<(), Failure> {
        match notice {
            Notice::Breaker(Change::Tripped { until }) => {
                log::breaker_opened(queue_id);
                self.show_state(|leader, client| {
                    store::note_open_breaker(client, queue_id, until)?;
                    let reason = "too many attempts failed";
                    leader.tell_of_queue(client, Kind::Tripped, queue_id, reason, Some(until))
                })
            }
            Notice::Breaker(Change::StillOpen { until }) => self.show_state(|_, client| {
                store::note_open_breaker(client, queue_id, until)?;
                Ok(Vec::new())
            }),
            Notice::Breaker(Change::Recovered) => {
                log::breaker_closed(queue_id);
                self.show_state(|leader, client| {
                    store::note_closed_breaker(client, queue_id)?;
                    leader.tell_of_queue(client, Kind::Recovered, queue_id, "its receiver is back", None)
                })
            }
            Notice::Breaker(Change::GaveUp) => self.disable(queue_id, "its receiver did not come back"),
            Notice::Gone => self.disable(queue_id, "its receiver answered 410 Gone"),
            Notice::Failing(FailingChange::Note { since, last }) => self.show_state(|_, client| {
                store::note_failing(client, queue_id, since, last)?;
                Ok(Vec::new())
            }),
            Notice::Failing(FailingChange::Forget) => self.show_state(|_, client| {
                store::note_well(client, queue_id)?;
                Ok(Vec::new())
            }),
            Notice::Failing(FailingChange::GiveUp) => {
                self.disable(queue_id, "every attempt has failed for hooks.disable_after")
            }
        }
    }

    fn disable(&mut self, queue_id: QueueId, reason: &str) -> Result<(), Failure> {
        self.show_state(|leader, client| {
            if store::disable_queue(client, queue_id, reason)? {
                leader.tell_of_queue(client, Kind::Disabled, queue_id, reason, None)
            } else {
                Ok(Vec::new())
            }
        })?;
        log::queue_disabled(queue_id, reason);
        self.load_changed(vec![queue_id])
    }

    /// Shows the state of a queue, and tells of it. Gives the queues that are told.
    fn show_state(
        &mut self,
        work: impl FnOnce(&Leader, &mut session::Client<'_>) -> Result<Vec<QueueId>, Failure>,
    ) -> Result<(), Failure> {
        self.telling_transaction(c"pg_hooks: noting the state of a queue", |leader, client| {
            Ok(((), work(leader, client)?))
        })
    }
}
