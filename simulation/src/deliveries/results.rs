//! What becomes of results: they are recorded, later if their rows are locked, or not at all.

use super::store::{End, Row};
use super::world::{Flight, World};
use crate::defects::{Defect, is_planted};
use crate::domain::scheduler::{MessageId, Verdict};
use crate::domain::time::Timestamp;

impl World {
    /// Records what came, all but one.
    pub fn record(&mut self, locked: Option<u8>) {
        for (id, due_at) in std::mem::take(&mut self.postponed) {
            if let Some(flight) = self.flights.remove(&id)
                && let Some(observed) = self.observed.get_mut(&flight.queue_id)
            {
                observed.take_start_back(flight.meter, flight.began);
            }
            self.scheduler.release(id, Some(due_at));
        }
        let mut results: Vec<(MessageId, Verdict)> = self
            .flights
            .iter()
            .filter_map(|(id, flight)| Some((*id, flight.verdict?)))
            .collect();
        if let Some(nth) = locked
            && !results.is_empty()
        {
            results.remove(usize::from(nth) % results.len());
        }
        for (id, verdict) in results {
            let Some(flight) = self.flights.remove(&id) else {
                continue;
            };
            let due_at = self.store_result(id, &flight, verdict);
            self.scheduler.release(id, due_at);
            self.tell_where_it_is(id, &flight, due_at);
            self.answers_linger = false;
        }
    }

    /// A message may have been changed, or moved, while it was on the wire.
    fn tell_where_it_is(&mut self, id: MessageId, flight: &Flight, due_at: Option<Timestamp>) {
        let Some(row) = self.store.rows.get(&id) else {
            return;
        };
        match due_at {
            None => self.scheduler.note_due(flight.queue_id, Timestamp::MIN),
            Some(due_at) if row.queue_id != flight.queue_id => {
                self.scheduler.note_due(row.queue_id, due_at);
            }
            Some(_) => {}
        }
    }

    /// As the statements of `record` do; they ask for the message with the attempts it had when it was read.
    pub fn store_result(&mut self, id: MessageId, flight: &Flight, verdict: Verdict) -> Option<Timestamp> {
        if is_planted(Defect::ResultsUnfenced) && !self.store.rows.contains_key(&id) {
            self.store.end(id, End::Delivered);
        }
        let row = self.store.rows.get_mut(&id)?;
        if is_planted(Defect::ResultsLost) {
            return Some(row.candidate.due_at);
        }
        if row.candidate.attempt != flight.candidate.attempt {
            return None;
        }
        let attempts = u32::from(flight.is_sent);
        match verdict {
            Verdict::Delivered => self.store.end(id, End::Delivered),
            Verdict::Expired { retry_at, .. }
                if row.candidate.expires_at.is_none_or(|end| end > retry_at) =>
            {
                // Somebody gave it more time meanwhile.
                if flight.is_sent {
                    row.retry(flight, retry_at);
                }
                return Some(row.candidate.due_at);
            }
            Verdict::Expired { is_buried: false, .. } => self.store.end(id, End::Expired),
            Verdict::Dead | Verdict::Expired { .. } => self.bury(id, attempts),
            Verdict::RetryAt(due_at) => {
                row.retry(flight, due_at);
                return Some(row.candidate.due_at);
            }
        }
        None
    }

    pub fn bury(&mut self, id: MessageId, attempts: u32) {
        if let Some(mut row) = self.store.rows.remove(&id) {
            row.candidate.attempt += attempts;
            if !is_planted(Defect::LettersLost) {
                self.store.letters.insert(id, row);
            }
        }
    }

    pub fn park(&mut self, nth: u8) {
        let judged: Vec<MessageId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.verdict.is_some())
            .map(|(id, _)| *id)
            .collect();
        if judged.is_empty() {
            return;
        }
        let id = judged[usize::from(nth) % judged.len()];
        self.flights.remove(&id);
        self.parked.insert(id);
        self.scheduler.park(id);
    }
}

impl Row {
    /// It is due again, but not before the time that somebody put it off to meanwhile.
    fn retry(&mut self, flight: &Flight, due_at: Timestamp) {
        let row = &mut self.candidate;
        let was_put_off = row.due_at != flight.candidate.due_at;
        row.due_at = if was_put_off {
            due_at.max(row.due_at)
        } else {
            due_at
        };
        row.attempt += 1;
        row.deaths = 0;
    }
}
