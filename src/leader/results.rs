//! Results back: judging what the I/O threads finished, and recording it.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;

use super::{LINGER, LOCK_POLL, Leader};
use crate::deliver::Job;
use crate::domain::scheduler::MessageId;
use crate::domain::time::Timestamp;
use crate::log;
use crate::session::{self, Failure};
use crate::store::{self, Record, Recorded};

impl Leader {
    /// Takes what the I/O threads finished and has the scheduler judge it.
    pub fn take_results(&mut self) {
        let mut finished = Vec::new();
        self.pool.take_finished(&mut finished);
        for Job { message, .. } in self.pool.take_unstarted() {
            if !self.give_up_trial(message.id) {
                self.given_back.push((message.id, message.due_at));
            }
        }
        let now = session::now();
        if self.unrecorded.is_empty() {
            self.linger_until = now.after(LINGER);
        }
        for attempt in finished {
            let Some(attempt) = self.end_trial(attempt) else {
                continue;
            };
            let jitter = self.random.f64() * 2.0 - 1.0;
            let Some(queue_id) = self.scheduler.queue_of(attempt.message_id) else {
                continue;
            };
            let (outcome, started) = (&attempt.outcome, attempt.attempted_at);
            for notice in self.scheduler.observe(attempt.message_id, outcome, started, now) {
                self.take_notice(notice);
            }
            let verdict = self
                .scheduler
                .verdict(attempt.message_id, &attempt.outcome, now, jitter);
            let failed = attempt.outcome.error_class().is_some();
            let policy = self.scheduler.queue(queue_id);
            self.unrecorded.push(Record {
                queue_id,
                keep_body: policy.is_some_and(|queue| queue.keep_bodies),
                keep_attempt: policy.is_none_or(|queue| queue.keep_attempts.records(failed)),
                attempt,
                verdict,
            });
        }
    }

    /// Has messages that no attempt was made of read again, so that what has become of them meanwhile is heeded.
    pub fn give_back(&mut self) -> Result<(), Failure> {
        if self.given_back.is_empty() {
            return Ok(());
        }
        let ids = self.given_back.iter().map(|(id, _)| *id).collect();
        self.transaction(c"pg_hooks: recording results", |client| {
            store::forgive(client, ids)
        })?;
        for (id, due_at) in std::mem::take(&mut self.given_back) {
            self.scheduler.release(id, Some(due_at));
        }
        Ok(())
    }

    /// Records all results in one transaction.
    pub fn record(&mut self) -> Result<(), Failure> {
        if session::now() >= self.held_up_until {
            self.come_back_to_postponed();
        }
        if !self.held_up.is_empty() && session::now() >= self.held_up_until {
            let records = std::mem::take(&mut self.held_up);
            let free = self.set_locked_aside(records)?;
            self.record_batch(free)?;
        }
        let records = std::mem::take(&mut self.unrecorded);
        self.record_batch(records)
    }

    /// A lock was in the way. If it is on rows, records the others, and keeps those for later: a row
    /// that a user has locked delays the result of that message only.
    fn record_around_locks(&mut self, records: Vec<Record>, failure: Failure) -> Result<(), Failure> {
        let count = records.len();
        let free = self.set_locked_aside(records)?;
        if free.len() < count {
            return self.record_batch(free);
        }
        // No row is locked. To bury needs the table of queues, which the others do not.
        let (mut dead, others): (Vec<_>, Vec<_>) =
            free.into_iter().partition(|record| record.verdict.buries());
        if dead.is_empty() {
            self.unrecorded.extend(others);
            return Err(failure);
        }
        self.come_back_later();
        self.held_up.append(&mut dead);
        self.record_batch(others)
    }

    /// Moves the records whose messages somebody has locked to `held_up`; returns the others.
    fn set_locked_aside(&mut self, mut records: Vec<Record>) -> Result<Vec<Record>, Failure> {
        let ids: Vec<i64> = records.iter().map(|record| record.attempt.message_id).collect();
        let locked = self.transaction(c"pg_hooks: looking for locked messages", |client| {
            store::locked(client, ids)
        });
        let locked = locked.inspect_err(|_| self.unrecorded.append(&mut records))?;
        let (mut held_up, free): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| locked.contains(&record.attempt.message_id));
        if !held_up.is_empty() {
            self.come_back_later();
            self.held_up.append(&mut held_up);
        }
        Ok(free)
    }

    /// A batch that fails is halved until the row that cannot be recorded is alone.
    fn record_batch(&mut self, mut records: Vec<Record>) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        let result = self.telling_transaction(c"pg_hooks: recording results", |leader, client| {
            let recorded = store::record(client, &mut records)?;
            let told = leader.tell_of_dead(client, &recorded.buried)?;
            Ok((recorded, told))
        });
        match result {
            Ok(mut recorded) => {
                self.tallying.take(recorded.counted.take());
                for record in &records {
                    self.release(record, &recorded);
                }
                self.tell_buried(&recorded.buried);
                Ok(())
            }
            Err(failure) if failure.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
                self.record_around_locks(records, failure)
            }
            Err(failure) if !failure.is_of_some(records.len()) => {
                self.unrecorded.append(&mut records);
                Err(failure)
            }
            Err(failure) => {
                session::uninterrupted(|| debug1!("pg_hooks halves a batch of results: {failure}"));
                let id = |record: &Record| record.attempt.message_id;
                self.try_halves(records, &failure, id, Leader::record_batch)
            }
        }
    }

    /// Does each half of what failed because of some of the rows. A row that is alone is parked.
    pub fn try_halves<T>(
        &mut self,
        mut rows: Vec<T>,
        failure: &Failure,
        id: impl Fn(&T) -> MessageId,
        act: impl Fn(&mut Leader, Vec<T>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let [row] = &rows[..] {
            self.park_message(id(row), failure);
            return Ok(());
        }
        let rest = rows.split_off(rows.len() / 2);
        let first = act(self, rows);
        first.and(act(self, rest))
    }

    fn release(&mut self, record: &Record, recorded: &Recorded) {
        let id = record.attempt.message_id;
        match recorded.changed.get(&id) {
            Some(Some((queue_id, due_at))) => {
                // What told of its change was passed over while it was on the wire.
                self.scheduler.note_due(*queue_id, *due_at);
                return self.wait_for_row(id, *due_at);
            }
            Some(None) => return self.scheduler.release(id, None),
            None => {}
        }
        let Some((queue_id, due_at)) = recorded.retrying.get(&id) else {
            return self.scheduler.release(id, None);
        };
        self.scheduler.release(id, Some(*due_at));
        if *queue_id != record.queue_id {
            // It was moved while it was on the wire.
            self.scheduler.note_due(*queue_id, *due_at);
        }
    }

    /// Passes a message over whose row cannot be moved: it must neither stop the others nor be sent again by this leader.
    pub fn park_message(&mut self, id: MessageId, failure: &Failure) {
        log::parked(id, failure);
        self.scheduler.park(id);
    }

    /// Comes back to a row later that could not be claimed or moved now.
    pub fn wait_for_row(&mut self, id: MessageId, due_at: Timestamp) {
        self.come_back_later();
        self.postponed.push((id, due_at));
    }

    /// Whether rows that somebody has locked are waited for.
    pub fn waits_for_locks(&self) -> bool {
        !self.held_up.is_empty() || !self.postponed.is_empty()
    }

    /// Another locked row does not put off those that are waited for already.
    fn come_back_later(&mut self) {
        if !self.waits_for_locks() {
            self.held_up_until = session::now().after(LOCK_POLL);
        }
    }

    /// Has the rows that were postponed read again.
    fn come_back_to_postponed(&mut self) {
        for (id, due_at) in std::mem::take(&mut self.postponed) {
            self.scheduler.release(id, Some(due_at));
        }
    }

    pub fn tell_buried(&mut self, buried: &[store::Buried]) {
        for letter in buried {
            log::dead_letter(letter.id, letter.queue_id);
            if let Some(queue_id) = letter.copied_to {
                self.scheduler.note_due(queue_id, session::now());
            }
        }
    }
}
