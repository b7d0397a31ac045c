//! The leader, as `src/leader` is one: it moves rows and answers between the tables, the receivers and the scheduler, and
//! decides nothing.

use std::sync::Arc;
use std::time::Duration;

use super::expectations::check_verdict;
use super::observed::Observed;
use super::planted::Planted;
use super::vocabulary::Answered;
use super::world::World;
use crate::domain::breaker::Change;
use crate::domain::failing::{Failing, FailingChange};
use crate::domain::outcome::{Outcome, Unreachable};
use crate::domain::queue::{Queue, QueueId};
use crate::domain::scheduler::{Admission, Answer, MessageId, Notice, Verdict};
use crate::domain::time::Timestamp;

impl World {
    /// The leader sees what time it is, and tells the scheduler next.
    pub fn see_time(&mut self) {
        let back_by = self.seen.since(self.now);
        self.seen = self.now;
        if back_by > Duration::ZERO {
            for observed in self.observed.values_mut() {
                observed.clock_went_back(back_by);
            }
        }
    }

    pub fn begin_to_lead(&mut self, unclean: bool) {
        self.began_unclean = unclean.then_some(self.now);
        self.seen = self.began_unclean.unwrap_or(Timestamp::MIN);
        self.scheduler = Planted::new(self.slots, self.began_unclean, self.now);
        self.scheduler.set_disable_after(self.disable_after);
        let failing = self
            .failing
            .iter()
            .map(|(id, (since, last))| (*id, Failing::noted(*since, *last)));
        self.scheduler.recall_failing(failing.collect());
        self.observed.clear();
        self.flights.clear();
        self.postponed.clear();
        self.parked.clear();
        self.answers_linger = false;
        self.idle_turns = (self.now, 0);
        for row in self.store.rows.values_mut() {
            // The next leader may send it again.
            row.accepted = false;
        }
        for queue in self.store.queues.values().cloned().collect::<Vec<_>>() {
            self.load(queue);
        }
        self.rescan();
    }

    pub fn load(&mut self, queue: Arc<Queue>) {
        self.scheduler.load_queue(Arc::clone(&queue), self.now);
        match self.observed.get_mut(&queue.id) {
            Some(observed) => {
                if queue.active && !observed.queue.active {
                    self.failing_since.remove(&queue.id);
                    // With what the tables say of a queue that was held.
                    self.failing.remove(&queue.id);
                }
                observed.follow(queue, self.now);
            }
            None => {
                self.observed.insert(queue.id, Observed::new(queue));
            }
        }
    }

    /// As the survey does: what is due first, of each queue.
    pub fn rescan(&mut self) {
        for queue in self.store.queues.values().cloned().collect::<Vec<_>>() {
            let due = self
                .store
                .of_queue(queue.id)
                .map(|row| row.candidate.due_at)
                .min();
            if !self.observed.contains_key(&queue.id) {
                self.load(Arc::clone(&queue));
            }
            if let Some(due_at) = due {
                self.scheduler.note_due(queue.id, due_at);
            }
        }
        self.untold = false;
    }

    pub fn load_unknown(&mut self) {
        for id in self.scheduler.take_unknown() {
            if let Some(queue) = self.store.queues.get(&id).cloned() {
                self.load(queue);
            }
        }
    }

    /// Reads what is due and sends it.
    pub fn turn(&mut self, locks: bool) {
        self.load_unknown();
        self.see_time();
        let waiting = self.queues_that_must_send();
        let free = self.slots.saturating_sub(self.flights.len());
        let fetches = self.scheduler.plan(self.now);
        self.check_plan(&fetches);
        let mut admitted = 0;
        let mut dies = false;
        for fetch in &fetches {
            let (rows, next_due) = self.store.read(fetch, self.scheduler.reads_until(self.now));
            let heads = self.store.read_heads(fetch);
            let answer = Answer {
                rows: &rows,
                next_due,
                heads: &heads,
            };
            for admission in self.scheduler.admit(fetch, answer, self.now) {
                self.take_off(fetch.queue_id, admission, free);
                dies |= self.carry_out(admission, locks);
                admitted += 1;
            }
        }
        let (at, turns) = self.idle_turns;
        self.idle_turns = match admitted == 0 && !fetches.is_empty() {
            true if at == self.now => (at, turns + 1),
            idle => (self.now, u32::from(idle)),
        };
        self.check_turn(&waiting);
        if dies {
            self.die();
        }
    }

    /// Whether the worker dies of it.
    pub fn carry_out(&mut self, admission: Admission, locks: bool) -> bool {
        let id = admission.id();
        let (Some(flight), Some(row)) = (self.flights.get_mut(&id), self.store.rows.get_mut(&id)) else {
            return false;
        };
        let observed = self.observed.get(&flight.queue_id);
        match admission {
            Admission::Bury(_) => flight.verdict = Some(Verdict::Dead),
            Admission::Expire(_) => {
                flight.verdict = Some(Verdict::Expired {
                    retry_at: self.now,
                    is_buried: observed.is_some_and(|seen| seen.queue.bury_expired),
                });
            }
            Admission::ClaimAndSend(_) if locks => {
                self.postponed.push((id, row.candidate.due_at));
                flight.verdict = None;
                flight.is_sent = false;
                return false;
            }
            Admission::ClaimAndSend(_) => {
                row.candidate.deaths += 1;
                return row.poison;
            }
            Admission::Send(_) => return row.poison,
        }
        false
    }

    pub fn answer(&mut self, nth: u8, answered: Answered, jitter: f64) {
        let on_the_wire: Vec<MessageId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.is_sent && flight.verdict.is_none())
            .map(|(id, _)| *id)
            .collect();
        if on_the_wire.is_empty() {
            return;
        }
        self.see_time();
        let id = on_the_wire[usize::from(nth) % on_the_wire.len()];
        let outcome = outcome(answered);
        let flight = &self.flights[&id];
        let (queue_id, began) = (flight.queue_id, flight.began);
        let notices: Vec<Notice> = self
            .scheduler
            .observe(id, &outcome, began, self.now)
            .into_iter()
            .map(|(_, notice)| notice)
            .collect();
        let in_flight = self.in_flight_of(queue_id);
        let mut is_judged = true;
        if let Some(observed) = self.observed.get_mut(&queue_id) {
            is_judged = observed.answered(&outcome, &notices, in_flight, began, self.now);
            self.answers_linger = true;
        }
        if is_judged {
            self.take_failing(queue_id, &outcome, &notices);
        }
        let verdict = self.scheduler.verdict(id, &outcome, self.now, jitter);
        let queue = self.observed.get(&queue_id).map(|observed| &observed.queue);
        check_verdict(&self.flights[&id], queue, &outcome, verdict, self.now, jitter);
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.verdict = Some(verdict);
        }
        if let Some(row) = self.store.rows.get_mut(&id) {
            row.accepted |= verdict == Verdict::Delivered;
        }
        for notice in notices {
            self.take_notice(queue_id, notice);
        }
    }

    /// Since when the queue only fails.
    pub fn take_failing(&mut self, queue_id: QueueId, outcome: &Outcome, notices: &[Notice]) {
        match outcome {
            Outcome::Accepted { .. } => drop(self.failing_since.remove(&queue_id)),
            Outcome::Unbuildable { .. } | Outcome::NoSecret { .. } | Outcome::Fault { .. } => {}
            _ => drop(self.failing_since.entry(queue_id).or_insert(self.now)),
        }
        if notices.contains(&Notice::Failing(FailingChange::GiveUp)) {
            self.check_given_up(queue_id, self.disable_after);
        }
    }

    pub fn take_notice(&mut self, queue_id: QueueId, notice: Notice) {
        match notice {
            Notice::Gone | Notice::Breaker(Change::GaveUp) | Notice::Failing(FailingChange::GiveUp) => {
                if self.store.queues.contains_key(&queue_id) {
                    self.switch(queue_id, false);
                }
            }
            Notice::Failing(FailingChange::Note { since, last }) => {
                self.failing.insert(queue_id, (since, last));
            }
            Notice::Failing(FailingChange::Forget) => drop(self.failing.remove(&queue_id)),
            Notice::Breaker(_) => {}
        }
    }

    /// The worker dies with everything that it had in memory.
    pub fn die(&mut self) {
        self.begin_to_lead(true);
    }

    /// An orderly end: what came is recorded, what is on the wire is given up, and its claims are taken back.
    pub fn take_over(&mut self) {
        self.record(None);
        for id in self.flights.keys() {
            if let Some(row) = self.store.rows.get_mut(id) {
                row.candidate.deaths = 0;
            }
        }
        self.begin_to_lead(false);
    }
}

fn outcome(answered: Answered) -> Outcome {
    let detail = String::new();
    match answered {
        Answered::Accepted => Outcome::Accepted { status: 200 },
        Answered::Refused {
            status,
            retry_after_s,
        } => Outcome::Refused {
            status,
            retry_after: retry_after_s.map(|s| Duration::from_secs(u64::from(s))),
        },
        Answered::Unreachable => Outcome::Unreachable {
            cause: Unreachable::Connect,
            detail,
        },
        Answered::TimedOut => Outcome::TimedOut {
            after: Duration::from_secs(15),
        },
        Answered::Lost => Outcome::ConnectionLost { detail },
        Answered::Unauthenticated => Outcome::Unauthenticated { detail },
        Answered::Unbuildable => Outcome::Unbuildable { detail },
        Answered::NoSecret => Outcome::NoSecret { detail },
        Answered::Fault => Outcome::Fault { detail },
    }
}
