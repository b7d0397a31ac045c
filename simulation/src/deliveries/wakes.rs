//! What must hold after every event: counts agree, nobody is forgotten, and the leader wakes in time.

use std::collections::BTreeSet;

use super::observed::Observed;
use super::sends::SMALL_BYTES;
use super::store::Row;
use super::world::World;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::rule;

/// In so many turns a queue gets a slot that has none, while there are free ones: each of four queues has its turn in
/// turn, and with a single slot takes some of its own to walk to a row, and to the first of its key.
const LONGEST_WAIT: u32 = 60;
/// With no more than these bytes in flight, none of them in one message, there is room for another, whatever its size.
const FEW_BYTES: usize = 8 << 20;
/// So many turns in a row may read and send nothing: rows that wait for others of their keys are passed over.
const MOST_IDLE_TURNS: u32 = 40;

impl World {
    /// Looks at everything that holds at any time.
    pub fn check(&mut self) {
        self.store.check();
        self.scheduler.check();
        rule!(
            self.scheduler.in_flight() == self.flights.len(),
            "the scheduler knows what is in flight",
            "{} instead of {}",
            self.scheduler.in_flight(),
            self.flights.len()
        );
        for (id, flight) in &self.flights {
            let queue_id = self.scheduler.queue_of(*id);
            rule!(
                queue_id == Some(flight.queue_id),
                "the scheduler knows what is in flight",
                "message {id}"
            );
        }
        for (id, observed) in &mut self.observed {
            let mut rows = self.store.of_queue(*id);
            observed.had_large |= rows.any(|row| row.candidate.size > SMALL_BYTES);
        }
        self.check_wake();
    }

    /// The next wake is never later than the first message that could be sent.
    fn check_wake(&self) {
        if self.now < self.seen {
            return;
        }
        let Some((at, row)) = self.earliest_sendable() else {
            return;
        };
        let wake = self.scheduler.next_wake();
        rule!(
            wake.is_some_and(|wake| wake <= at.max(self.now)),
            "the next wake is never later than what is due first",
            "message {} is due at {at:?}, and the wake is {wake:?}",
            row.candidate.id
        );
    }

    /// After a turn nobody was passed over for long, and a turn that found nothing is followed by sleep.
    pub fn check_turn(&mut self, waiting: &BTreeSet<QueueId>) {
        rule!(
            self.idle_turns.1 <= MOST_IDLE_TURNS,
            "no turn after turn reads and sends nothing"
        );
        let had_nothing: BTreeSet<QueueId> = waiting
            .iter()
            .copied()
            .filter(|id| self.in_flight_of(*id) == 0)
            .collect();
        for (id, observed) in &mut self.observed {
            observed.passed_over = if had_nothing.contains(id) {
                observed.passed_over + 1
            } else {
                0
            };
            rule!(
                observed.passed_over <= LONGEST_WAIT,
                "a queue with nothing in flight gets a free slot soon",
                "queue {id}"
            );
        }
    }

    /// Queues with nothing in flight that could send at once.
    pub fn queues_that_must_send(&self) -> BTreeSet<QueueId> {
        let sendable = self.sendable().filter(|(at, _)| *at <= self.now);
        sendable
            .map(|(_, row)| row.queue_id)
            .filter(|id| self.in_flight_of(*id) == 0)
            .collect()
    }

    fn earliest_sendable(&self) -> Option<(Timestamp, &Row)> {
        self.sendable().min_by_key(|(at, _)| *at)
    }

    /// Rows that could be sent as far as is known now, and when.
    fn sendable(&self) -> impl Iterator<Item = (Timestamp, &Row)> {
        let queues = self
            .observed
            .iter()
            .filter(|(id, observed)| self.has_room(**id, observed));
        let queues = queues.filter(|_| !self.untold);
        queues.flat_map(|(id, observed)| {
            let rows = self.store.of_queue(*id).filter(|row| self.may_take_off(row));
            rows.map(|row| (row.candidate.due_at.max(observed.ready_at()), row))
        })
    }

    /// Whether one more message of the queue may be in flight.
    fn has_room(&self, id: QueueId, observed: &Observed) -> bool {
        let (used, free) = (
            self.in_flight_of(id),
            self.slots.saturating_sub(self.flights.len()),
        );
        let reserve = self.slots / 8;
        let half = (self.slots - reserve).div_ceil(2);
        let earned = observed.trust.limit(free, self.slots, self.now);
        // What an answer earns is granted when its slot is given back.
        let shared = free > reserve && used < half.min(earned) && !self.answers_linger;
        let by_share = if used == 0 { free > 0 } else { shared };
        let by_breaker = observed.open_until.is_none() || used == 0;
        // One that is too large for what is left may have to wait for others to land, and so do those behind it, also
        // when that one is gone meanwhile.
        let weights = || self.flights.values().map(|flight| flight.weight);
        let few = weights().all(|weight| weight <= FEW_BYTES / 8) && weights().sum::<usize>() <= FEW_BYTES;
        let by_bytes = few || !observed.had_large;
        observed.queue.active && used < observed.limit() && by_share && by_breaker && by_bytes
    }

    /// Whether nothing but its time stands between a row and the wire.
    fn may_take_off(&self, row: &Row) -> bool {
        let id = row.candidate.id;
        let is_free = !self.flights.contains_key(&id) && !self.parked.contains(&id);
        is_free && !self.waits_as_suspect(row) && self.is_first_of_key(row)
    }

    fn waits_as_suspect(&self, row: &Row) -> bool {
        let suspect = |flight: &super::world::Flight| flight.candidate.deaths > 0;
        row.candidate.deaths > 0 && self.flights.values().any(suspect)
    }

    fn is_first_of_key(&self, row: &Row) -> bool {
        let Some(key) = row.candidate.ordering_key else {
            return true;
        };
        if !self.parked.is_empty() {
            // Keys of what is parked wait for the next leader, those too that it was moved from and to.
            return false;
        }
        let (queue_id, id) = (row.queue_id, row.candidate.id);
        let first = self
            .store
            .of_key(queue_id, key)
            .next()
            .map(|first| first.candidate.id);
        let flies = self
            .flights
            .values()
            .any(|flight| flight.queue_id == queue_id && flight.key == Some(key));
        let blocks = self.observed[&queue_id].queue.dead_letters_block;
        let blocked = blocks && self.store.is_behind_a_letter(queue_id, key, id);
        first == Some(id) && !flies && !blocked
    }
}
