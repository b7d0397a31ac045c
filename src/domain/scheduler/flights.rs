//! Messages in flight: how they take off from the rows that were read, and how they land.

use super::bytes;
use super::keys::Keys;
use super::lane::{Cursor, Lack};
use super::{Admission, Answer, Candidate, Fetch, Flight, KeyHash, MessageId, Notice, Scheduler, Verdict};
use crate::domain::outcome::Outcome;
use crate::domain::queue::QueueId;
use crate::domain::retry::{self, Resolution};
use crate::domain::time::Timestamp;

/// What becomes of a row that was read.
enum Taken {
    /// It is in flight now, for this.
    Up(Admission),
    /// It waits; a note or a release brings it back.
    PassedOver,
    /// It does not fit into the bytes that are left.
    TooLarge,
}

impl Scheduler {
    /// Takes in the rows that a fetch returned, and says what to do with them: first with heads, then
    /// with rows of the range, each in their order. Rows that are in flight are passed over.
    pub fn admit(&mut self, fetch: &Fetch, answer: Answer<'_>, now: Timestamp) -> Vec<Admission> {
        let Some(lane) = self.lanes.get_mut(&fetch.queue_id) else {
            return Vec::new();
        };
        let granted = std::mem::take(&mut lane.granted) as usize;
        let had_claim = self.take_claim(fetch);
        let mut admitted = self.admit_heads(fetch, answer.heads, now);
        if let Some(range) = fetch.range {
            let considered = self.admit_range(fetch.queue_id, answer.rows, granted, &mut admitted, now);
            let all_read = considered == answer.rows.len() && considered < range.limit as usize;
            if let Some(lane) = self.lanes.get_mut(&fetch.queue_id) {
                lane.read(all_read, answer.next_due);
            }
        }
        let Some(lane) = self.lanes.get_mut(&fetch.queue_id) else {
            return admitted;
        };
        let sent = admitted.iter().filter(|admission| admission.is_sent()).count();
        lane.start(u32::try_from(sent).unwrap_or(u32::MAX), now);
        self.place(fetch.queue_id);
        if admitted.len() < granted {
            self.ease(&[Lack::Slots]);
        }
        self.settle_claim(fetch.queue_id, had_claim);
        admitted
    }

    /// A fetch could not be made: what it was to read is read another time.
    pub fn unread(&mut self, fetch: &Fetch) {
        let Some(lane) = self.lanes.get_mut(&fetch.queue_id) else {
            return;
        };
        lane.granted = 0;
        for head in fetch.heads.iter().rev() {
            lane.keys.want(head.key);
        }
        if fetch.range.is_some() {
            lane.read(false, None);
        }
        self.place(fetch.queue_id);
        self.ease(&[Lack::Slots]);
    }

    fn admit_heads(&mut self, fetch: &Fetch, rows: &[Candidate], now: Timestamp) -> Vec<Admission> {
        let mut admitted = Vec::new();
        let mut rows = rows.iter().peekable();
        for head in &fetch.heads {
            let row = rows.next_if(|row| row.ordering_key == Some(head.key));
            let taken = match row {
                Some(row) if row.due_at <= now => self.take_off(fetch.queue_id, row, now),
                _ => Taken::PassedOver,
            };
            let Some(lane) = self.lanes.get_mut(&fetch.queue_id) else {
                break;
            };
            match (taken, row) {
                (Taken::Up(admission), _) => {
                    lane.keys.fly(head.key, admission.id());
                    admitted.push(admission);
                }
                (Taken::TooLarge, _) => {
                    lane.keys.want(head.key);
                    self.squeeze(fetch.queue_id, Lack::Bytes);
                }
                (Taken::PassedOver, row) => {
                    lane.keys.rest(head.key);
                    if let Some(flight) = row.and_then(|row| self.in_flight.get_mut(&row.id)) {
                        flight.waited_for_by = Some((fetch.queue_id, head.key));
                    }
                    if let Some(later) = row.filter(|row| row.due_at > now) {
                        lane.note(later.due_at);
                    }
                }
            }
        }
        admitted
    }

    /// Returns how many of the rows were considered; the cursor is behind them.
    fn admit_range(
        &mut self,
        queue_id: QueueId,
        rows: &[Candidate],
        granted: usize,
        admitted: &mut Vec<Admission>,
        now: Timestamp,
    ) -> usize {
        let mut met = 0;
        for (considered, row) in rows.iter().enumerate() {
            if admitted.len() == granted {
                return considered;
            }
            let taken = match row.ordering_key {
                None => self.take_off(queue_id, row, now),
                Some(_) => Taken::PassedOver,
            };
            if let Taken::TooLarge = taken {
                self.squeeze(queue_id, Lack::Bytes);
                return considered;
            }
            let is_met = row.ordering_key.is_some()
                && !self.is_flying(row.id, queue_id)
                && !self.parked.contains(&row.id);
            let Some(lane) = self.lanes.get_mut(&queue_id) else {
                return considered;
            };
            lane.cursor = Cursor {
                due_at: row.due_at,
                id: row.id,
            };
            if let Some(key) = row.ordering_key.filter(|_| is_met) {
                met += 1;
                lane.keys.meet(key, lane.cursor);
            }
            if let Taken::Up(admission) = taken {
                admitted.push(admission);
            }
        }
        if let Some(lane) = self.lanes.get_mut(&queue_id) {
            lane.stride(met == rows.len() && met > 0);
        }
        rows.len()
    }

    /// Whether a row that was read for a queue is in flight.
    fn is_flying(&mut self, id: MessageId, queue_id: QueueId) -> bool {
        let Some(flight) = self.in_flight.get_mut(&id) else {
            return false;
        };
        if flight.queue_id != queue_id {
            flight.moved_to = Some(queue_id);
        }
        true
    }

    /// Puts a row in flight, if it fits and nothing speaks against it.
    fn take_off(&mut self, queue_id: QueueId, row: &Candidate, now: Timestamp) -> Taken {
        if self.is_flying(row.id, queue_id) {
            return Taken::PassedOver;
        }
        let Some(lane) = self.lanes.get(&queue_id) else {
            return Taken::PassedOver;
        };
        if self.parked.contains(&row.id) {
            return Taken::PassedOver;
        }
        let expired = row.expires_at.is_some_and(|expires_at| expires_at <= now);
        let weight = if expired { 0 } else { bytes::weight(row.size) };
        let Some(fit) = self.fit(queue_id, lane, weight) else {
            self.claim(queue_id, row.ordering_key);
            return Taken::TooLarge;
        };
        let admission = if expired {
            Admission::Expire(row.id)
        } else if let Some(admission) = self.probation.admit(queue_id, row, now) {
            admission
        } else {
            return Taken::PassedOver;
        };
        self.in_flight.insert(
            row.id,
            Flight {
                queue_id,
                weight,
                meter: admission.is_sent().then_some(lane.meter),
                since: now,
                budget_attempt: row.attempt.saturating_sub(row.attempts_before).saturating_add(1),
                expires_at: row.expires_at,
                ordering_key: row.ordering_key,
                waited_for_by: None,
                moved_to: None,
            },
        );
        self.keyed += usize::from(row.ordering_key.is_some());
        self.flight_changes = self.flight_changes.wrapping_add(1);
        self.bytes.start(row.id, weight, fit);
        if let Some(lane) = self.lanes.get_mut(&queue_id) {
            lane.in_flight += 1;
            lane.bytes += weight;
        }
        Taken::Up(admission)
    }

    /// A queue waits for others to give slots or bytes back.
    pub(super) fn squeeze(&mut self, queue_id: QueueId, lack: Lack) {
        if let Some(lane) = self.lanes.get_mut(&queue_id)
            && lane.lacks.is_none()
        {
            lane.lacks = Some(lack);
            self.squeezed.push(queue_id);
        }
    }

    /// Lets the queue of a message in flight learn from its outcome: rate of failures, Retry-After,
    /// overload. `started` is when the attempt began.
    pub fn observe(
        &mut self,
        id: MessageId,
        outcome: &Outcome,
        started: Timestamp,
        now: Timestamp,
    ) -> Vec<(QueueId, Notice)> {
        let Some(flight) = self.in_flight.get_mut(&id) else {
            return Vec::new();
        };
        flight.meter = None;
        let (queue_id, since) = (flight.queue_id, flight.since);
        self.tell_time(now);
        let Some(lane) = self.lanes.get_mut(&queue_id) else {
            return Vec::new();
        };
        let notices = lane.observe(outcome, since, started, now, self.disable_after);
        self.place(queue_id);
        notices.into_iter().map(|notice| (queue_id, notice)).collect()
    }

    /// What becomes of a message in flight after this outcome. `jitter` is uniform in [-1, 1].
    #[must_use]
    pub fn verdict(&self, id: MessageId, outcome: &Outcome, now: Timestamp, jitter: f64) -> Verdict {
        // Delivered is delivered, whatever became of the queue meanwhile.
        if let Outcome::Accepted { .. } = outcome {
            return Verdict::Delivered;
        }
        let Some(flight) = self.in_flight.get(&id) else {
            return Verdict::Dead;
        };
        let Some(lane) = self.lanes.get(&flight.queue_id) else {
            return Verdict::Dead;
        };
        match retry::resolve(&lane.queue.retry, flight.budget_attempt, outcome, jitter) {
            Resolution::Delivered => Verdict::Delivered,
            Resolution::RetryIn(delay) => {
                let at = now.after(delay);
                match flight.expires_at {
                    Some(expires_at) if expires_at <= at => Verdict::Expired {
                        retry_at: at,
                        is_buried: lane.queue.bury_expired,
                    },
                    _ => Verdict::RetryAt(at),
                }
            }
            Resolution::Dead => Verdict::Dead,
        }
    }

    /// A message is no longer in flight: its result is recorded, and it is due again at `due_at` if
    /// that was a retry. One of which no outcome was observed was not sent.
    pub fn release(&mut self, id: MessageId, due_at: Option<Timestamp>) {
        let finished = due_at.is_none();
        // One that others of another key wait for is no longer of the key it took off with.
        let changed = |flight: &Flight| flight.waited_for_by.is_some();
        let goes_on = finished || self.in_flight.get(&id).is_some_and(changed);
        self.land(id, due_at, |keys, key| keys.land(key, goes_on));
    }

    /// Gives up the slot of a message whose result cannot be recorded, and passes it over from now on:
    /// it was answered, and only the next leader may send it again. Until then its key is held back.
    pub fn park(&mut self, id: MessageId) {
        self.parked.insert(id);
        self.land(id, None, Keys::rest);
    }

    fn land(&mut self, id: MessageId, due_at: Option<Timestamp>, key: impl FnOnce(&mut Keys, KeyHash)) {
        let Some(flight) = self.in_flight.remove(&id) else {
            return;
        };
        self.flight_changes = self.flight_changes.wrapping_add(1);
        let queue_id = flight.queue_id;
        self.keyed -= usize::from(flight.ordering_key.is_some());
        self.bytes.land(id, flight.weight);
        if let Some(lane) = self.lanes.get_mut(&queue_id) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.bytes = lane.bytes.saturating_sub(flight.weight);
            if flight.meter == Some(lane.meter) {
                lane.take_start_back(flight.since);
            }
            if let Some(hash) = flight.ordering_key {
                key(&mut lane.keys, hash);
            }
            if let Some(due_at) = due_at {
                lane.note(due_at);
            }
            self.place(queue_id);
        }
        if let Some((other, due_at)) = flight.moved_to.zip(due_at) {
            self.note_due(other, due_at);
        }
        if let Some((other, key)) = flight.waited_for_by
            && let Some(lane) = self.lanes.get_mut(&other)
        {
            lane.keys.want(key);
            self.place(other);
        }
        for (queue_id, due_at) in self.probation.release(id) {
            self.note_due(queue_id, due_at);
        }
        self.ease(&[Lack::Slots, Lack::Bytes]);
    }

    /// Slots or bytes were given back: queues that wait for these are considered again.
    pub(super) fn ease(&mut self, given_back: &[Lack]) {
        for queue_id in std::mem::take(&mut self.squeezed) {
            let Some(lane) = self.lanes.get_mut(&queue_id) else {
                continue;
            };
            if lane.lacks.is_some_and(|lack| given_back.contains(&lack)) {
                lane.lacks = None;
                self.place(queue_id);
            } else {
                self.squeezed.push(queue_id);
            }
        }
    }
}
