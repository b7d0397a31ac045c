//! One turn of the leader's loop: which parts of the work are done, and how long to sleep after.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Leader;
use crate::domain::time::Timestamp;
use crate::log;
use crate::session::{self, Failure};

/// So many results are recorded without waiting for more.
const MAX_BATCH: usize = 128;
/// An answer that takes longer does not come with those of the same batch.
const PROMPT: Duration = Duration::from_millis(50);
/// Fewer results are not worth a transaction while more may come within the linger.
const SMALL_BATCH: usize = 16;
/// How often to look for results while some are awaited, in case the call to take them got lost.
const LOST_CALL: Duration = Duration::from_secs(5);
/// Pause of a part of the work after a failed transaction.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

impl Leader {
    /// One round of work. Returns how long the loop may sleep; zero when there is more to do.
    ///
    /// A part that fails rests for a moment, and the others go on: a lock on the queues, say, need not
    /// stop deliveries that do not ask for them.
    pub fn turn(&mut self) -> Duration {
        self.take_results();
        if let Some(complaint) = self.pool.take_complaint() {
            log::no_descriptor(complaint);
        }
        let now = session::now();
        self.heed_the_clock(now);
        if now >= self.follow_at
            && let Err(failure) = self.follow(now)
        {
            self.follow_at = self.rest("following changes", &failure);
        }
        if self.is_held {
            return Duration::ZERO;
        }
        self.begin_trials();
        self.run_cron_or_rest(now);
        // What is due goes out before results are written to disk, and what these make room for after.
        self.deliver_or_rest(now);
        if now >= self.record_at
            && let Err(failure) = self.give_back().and(self.record_in_time(now))
        {
            self.record_at = self.rest("recording results", &failure);
        }
        if now >= self.notices_at {
            let standing = self.show_standing();
            if let Err(failure) = standing.and(self.show_notices()) {
                self.notices_at = self.rest("noting the state of queues", &failure);
            }
        }
        if now >= self.tallying.fold_at
            && let Err(failure) = self.fold(now)
        {
            self.tallying.fold_at = self.rest("folding counts", &failure);
        }
        self.deliver_or_rest(now);
        let in_flight = u32::try_from(self.scheduler.in_flight()).unwrap_or(u32::MAX);
        self.database.in_flight.store(in_flight, Ordering::Relaxed);
        self.show_flights(now);
        self.time_to_sleep()
    }

    fn run_cron_or_rest(&mut self, now: Timestamp) {
        if now >= self.cron.rest_until
            && let Err(failure) = self.run_cron(now)
        {
            self.cron.rest_until = self.rest("running schedules", &failure);
        }
    }

    fn deliver_or_rest(&mut self, now: Timestamp) {
        if now >= self.deliver_at
            && let Err(failure) = self.deliver()
        {
            self.deliver_at = self.rest("delivering", &failure);
        }
    }

    fn time_to_sleep(&self) -> Duration {
        let mut wake = self.next_look().max(self.follow_at);
        wake = wake.min(self.cron.next_look()).min(self.tallying.fold_at);
        if let Some(at) = self.scheduler.next_wake() {
            wake = wake.min(at.max(self.deliver_at));
        }
        if !self.notices.is_empty() || self.standing.is_news() {
            wake = wake.min(self.notices_at);
        }
        if let Some(at) = self.next_showing() {
            wake = wake.min(at);
        }
        if !self.unrecorded.is_empty() {
            wake = wake.min(self.linger_until.max(self.record_at));
        }
        if !self.given_back.is_empty() {
            wake = wake.min(self.record_at);
        }
        if self.waits_for_locks() {
            wake = wake.min(self.held_up_until.max(self.record_at));
        }
        let now = session::now();
        if self.scheduler.in_flight() > 0 || !self.trying.is_empty() {
            wake = wake.min(now.after(LOST_CALL));
        }
        wake.since(now)
    }

    /// Records when it is worth a transaction: the batch is large, something waits for its slots, or the
    /// first result has waited long enough.
    fn record_in_time(&mut self, now: Timestamp) -> Result<(), Failure> {
        let come_back = self.waits_for_locks() && now >= self.held_up_until;
        if self.unrecorded.len() >= self.full_batch() || now >= self.linger_until || come_back {
            self.record()?;
        }
        Ok(())
    }

    /// Results that are recorded without waiting for more. When nothing waits for their slots there is
    /// no hurry: the next message would have to wait until they are on disk.
    ///
    /// Otherwise it is half of what is in flight; but messages to receivers that hang come back with no
    /// batch, and are left out while there are enough others.
    fn full_batch(&self) -> usize {
        if !self.scheduler.is_pressed() {
            return MAX_BATCH;
        }
        let young = self.scheduler.in_flight_since(session::now().before(PROMPT));
        let half = self.scheduler.in_flight().div_ceil(2);
        MAX_BATCH.min(half).min(young.div_ceil(2).max(SMALL_BATCH))
    }

    /// While results linger, only as many as make the batch full are a reason to wake.
    pub fn results_to_wake_for(&self) -> usize {
        match self.unrecorded.len() {
            0 => 1,
            lingering => self.full_batch().saturating_sub(lingering).max(1),
        }
    }

    /// Nothing is lost by a failed transaction: what it was to do stays to be done.
    pub fn rest(&mut self, part: &str, failure: &Failure) -> Timestamp {
        self.report(failure, || log::rests(part, FAILURE_PAUSE.as_millis(), failure));
        session::now().after(FAILURE_PAUSE)
    }

    /// Has a failure logged, unless the worker was told to end: that cancels what runs.
    pub fn report(&mut self, failure: &Failure, log: impl FnOnce()) {
        self.leave_if_extension_is_gone(failure);
        if !session::terminating() {
            log();
        }
    }
}
