//! What must hold of everything that takes off.

use super::observed::Observed;
use super::store::Row;
use super::world::{Flight, World};
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{Admission, Fetch, MAX_DEATHS, MessageId};
use crate::domain::time::Timestamp;
use crate::rule;

/// Messages up to this size are bounded by the slots alone.
pub const SMALL_BYTES: usize = 8 << 10;
/// Most bytes of larger ones in flight, but for one message.
const MOST_BYTES: usize = 16 << 20;
/// Since an unclean start, in microseconds.
const PROBATION: i64 = 60_000_000;

impl World {
    /// Takes the scheduler's word for what is in flight now. `free` is how many slots were before the plan.
    pub fn take_off(&mut self, queue_id: QueueId, admission: Admission, free: usize) {
        let id = admission.id();
        rule!(
            !self.flights.contains_key(&id),
            "a message is in flight once",
            "message {id}"
        );
        let ended = self.store.ended.get(&id);
        rule!(
            ended.is_none(),
            "nothing is sent after its end",
            "message {id} was {ended:?}"
        );
        rule!(
            self.store.rows.contains_key(&id),
            "only rows that were read are sent",
            "message {id}"
        );
        let row = &self.store.rows[&id];
        rule!(
            row.queue_id == queue_id,
            "a queue sends its own messages",
            "message {id}"
        );
        rule!(
            !row.accepted,
            "nothing is sent again after it was accepted",
            "message {id}"
        );
        rule!(
            !self.parked.contains(&id),
            "what is parked waits for the next leader",
            "message {id}"
        );
        rule!(
            row.candidate.due_at <= self.now,
            "nothing is sent before it is due",
            "message {id}"
        );
        let expired = row.candidate.expires_at.is_some_and(|at| at <= self.now);
        rule!(
            expired == (admission == Admission::Expire(id)),
            "no attempt starts after the end, and nothing expires before",
            "message {id}: {admission:?}"
        );
        self.check_order(row);
        self.check_probation(admission, row);
        let weight = if row.candidate.size > SMALL_BYTES && !expired {
            row.candidate.size
        } else {
            0
        };
        let flight = Flight {
            queue_id,
            key: row.candidate.ordering_key,
            weight,
            candidate: row.candidate,
            began: self.now,
            is_sent: admission.is_sent(),
            meter: self.observed.get(&queue_id).map_or(0, |observed| observed.meter),
            verdict: None,
        };
        self.flights.insert(id, flight);
        self.check_bounds(queue_id, free);
        if admission.is_sent() {
            self.check_permission(queue_id, id);
        }
    }

    /// Nothing earlier of its key waits, nothing else of it is in flight, and no dead letter is in the way.
    fn check_order(&self, row: &Row) {
        let Some(key) = row.candidate.ordering_key else {
            return;
        };
        let id = row.candidate.id;
        let earlier = self
            .store
            .of_key(row.queue_id, key)
            .find(|other| other.candidate.id < id && !other.is_late);
        rule!(
            earlier.is_none(),
            "messages of a key are sent in the order of their ids",
            "{id} before {:?}",
            earlier.map(|other| other.candidate.id)
        );
        let other = self
            .flights
            .iter()
            .find(|(_, flight)| flight.queue_id == row.queue_id && flight.key == Some(key));
        rule!(
            other.is_none(),
            "of a key one message is in flight",
            "{id} beside {:?}",
            other.map(|(other, _)| other)
        );
        let blocks = self.observed[&row.queue_id].queue.dead_letters_block;
        rule!(
            !blocks || !self.store.is_behind_a_letter(row.queue_id, key, id),
            "a dead letter holds back what comes after it in its key",
            "message {id}"
        );
    }

    /// Suspects are claimed and go one at a time; what killed the worker too often is buried.
    fn check_probation(&self, admission: Admission, row: &Row) {
        let deaths = row.candidate.deaths;
        let was_due = self.began_unclean.is_some_and(|began| {
            row.candidate.due_at <= began && self.now.0 < began.0.saturating_add(PROBATION)
        });
        match admission {
            Admission::Bury(_) => rule!(
                deaths + 1 >= MAX_DEATHS,
                "only what the worker died of so often is buried for it",
                "{deaths} deaths"
            ),
            Admission::Send(_) => rule!(
                deaths == 0 && !was_due,
                "after an unclean end, what was due then is claimed before it is sent",
                "{deaths} deaths"
            ),
            Admission::ClaimAndSend(_) => {
                rule!(
                    deaths + 1 < MAX_DEATHS,
                    "what the worker died of so often is sent no more"
                );
                rule!(deaths > 0 || was_due, "nothing is claimed without a reason");
                let others = self.flights.values().filter(|other| other.is_suspect());
                rule!(
                    deaths == 0 || others.count() == 0,
                    "suspects are sent one at a time"
                );
            }
            Admission::Expire(_) => {}
        }
    }

    /// Slots, and how they are shared.
    fn check_bounds(&self, queue_id: QueueId, free: usize) {
        let observed = &self.observed[&queue_id];
        let of_queue = self.in_flight_of(queue_id);
        rule!(observed.queue.active, "a queue that is paused sends nothing");
        rule!(
            of_queue <= observed.limit(),
            "a queue has no more in flight than its limit",
            "{of_queue}"
        );
        rule!(
            self.flights.len() <= self.slots,
            "no more is in flight than there are slots"
        );
        let reserve = self.slots / 8;
        if of_queue > 1 {
            let half = (self.slots - reserve).div_ceil(2);
            rule!(
                of_queue <= half,
                "a queue has no more than half of the slots",
                "{of_queue}"
            );
            rule!(
                self.flights.len() <= self.slots - reserve,
                "an eighth of the slots is for queues with nothing in flight"
            );
            let earned = observed.trust.limit(free, self.slots, self.now);
            rule!(
                of_queue <= earned,
                "a queue has no more slots than it has earned",
                "{of_queue} of {earned}"
            );
        }
        let weights = || self.flights.values().map(|flight| flight.weight);
        rule!(
            weights().sum::<usize>() - weights().max().unwrap_or(0) <= MOST_BYTES,
            "the bytes in flight are bounded, but for one message"
        );
    }

    /// Rate, Retry-After and breaker.
    fn check_permission(&mut self, queue_id: QueueId, id: MessageId) {
        let (now, sent) = (self.now, self.flights.values());
        let sent = sent.filter(|flight| flight.queue_id == queue_id).count();
        let Some(observed) = self.observed.get_mut(&queue_id) else {
            return;
        };
        rule!(
            observed.held_until <= now,
            "a queue waits as long as its receiver asked",
            "message {id}"
        );
        if let Some(until) = observed.open_until {
            rule!(
                until <= now && sent == 1,
                "an open breaker lets one message through, in time",
                "message {id}"
            );
        }
        check_rate(observed, now);
    }

    /// A plan reads nothing for queues that may not send, and each once.
    pub fn check_plan(&self, fetches: &[Fetch]) {
        for (at, fetch) in fetches.iter().enumerate() {
            let again = fetches[..at].iter().any(|other| other.queue_id == fetch.queue_id);
            rule!(!again, "a queue is read once in a turn");
            let active = self
                .observed
                .get(&fetch.queue_id)
                .is_some_and(|observed| observed.queue.active);
            rule!(active, "nothing is read for a queue that is paused");
        }
    }
}

/// Within no time more start than its share of the rate and one burst.
fn check_rate(observed: &mut Observed, now: Timestamp) {
    let Some(limit) = observed.queue.rate_limit else {
        return;
    };
    observed.bucket.take(&limit, now, 1);
    observed.starts.push(now);
    let (spacing, burst) = limit.spacing_and_burst();
    for (at, first) in observed.starts.iter().enumerate() {
        let started = (observed.starts.len() - at) as i64;
        let allowed = i64::from(burst) + (now.0 - first.0) / spacing;
        rule!(
            started <= allowed,
            "no more start within a time than the rate allows",
            "{started} of {allowed}"
        );
    }
    if observed.starts.len() > 64 {
        observed.starts.drain(..32);
    }
}

impl Flight {
    /// It was sent with a death to its name.
    fn is_suspect(&self) -> bool {
        self.candidate.deaths > 0 && self.is_sent
    }
}
