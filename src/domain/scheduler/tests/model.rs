//! A model of the message table and of the world around the scheduler.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A committed row.
#[derive(Clone, Debug)]
pub struct Stored {
    pub queue_id: QueueId,
    pub candidate: Candidate,
}

/// What the tables hold, and what must be true of what is sent.
pub struct World {
    pub now: Timestamp,
    pub queues: BTreeMap<QueueId, Arc<Queue>>,
    pub rows: BTreeMap<MessageId, Stored>,
    pub on_the_wire: BTreeSet<MessageId>,
    pub finished: BTreeSet<MessageId>,
    /// Admitted to be made a dead letter, not to be sent.
    pub graves: BTreeSet<MessageId>,
    pub sends: BTreeMap<MessageId, u32>,
    pub next_id: MessageId,
}

impl World {
    pub fn new(queues: Vec<Arc<Queue>>) -> World {
        World {
            now: Timestamp(1_000 * SECOND),
            queues: queues.into_iter().map(|queue| (queue.id, queue)).collect(),
            rows: BTreeMap::new(),
            on_the_wire: BTreeSet::new(),
            finished: BTreeSet::new(),
            graves: BTreeSet::new(),
            sends: BTreeMap::new(),
            next_id: 1,
        }
    }

    /// A transaction commits a message whose due time was decided up to a second ago, or ahead.
    pub fn commit(&mut self, queue_id: QueueId, due_at: Timestamp) {
        let id = self.next_id;
        self.next_id += 1;
        self.rows.insert(
            id,
            Stored {
                queue_id,
                candidate: super::row(id, due_at.0),
            },
        );
    }

    /// What the fetch statement of the store returns.
    pub fn read(&self, fetch: &Fetch) -> (Vec<Candidate>, Option<Timestamp>) {
        let mut rows: Vec<Candidate> = self
            .rows
            .values()
            .filter(|row| row.queue_id == fetch.queue_id)
            .map(|row| row.candidate)
            .collect();
        rows.sort_by_key(|row| (row.due_at, row.id));
        let next_due = rows
            .iter()
            .map(|row| row.due_at)
            .find(|due_at| *due_at > self.now);
        rows.retain(|row| {
            let place = Cursor {
                due_at: row.due_at,
                id: row.id,
            };
            place > fetch.after && row.due_at <= self.now
        });
        rows.truncate(fetch.limit as usize);
        (rows, next_due)
    }

    /// Takes the scheduler's word for what to send, and checks it.
    pub fn send(&mut self, fetch: &Fetch, admission: Admission) {
        let id = admission.id();
        let row = self
            .rows
            .get_mut(&id)
            .expect("only rows that were read are admitted");
        assert_eq!(row.queue_id, fetch.queue_id);
        assert!(
            row.candidate.due_at <= self.now,
            "message {id} was sent before it was due"
        );
        assert!(self.on_the_wire.insert(id), "message {id} is in flight twice");
        assert!(
            !self.finished.contains(&id),
            "message {id} was sent after its end"
        );
        match admission {
            Admission::Send(_) => assert_eq!(row.candidate.deaths, 0, "a suspect is claimed"),
            Admission::ClaimAndSend(_) => row.candidate.deaths += 1,
            Admission::Bury(_) => {
                self.graves.insert(id);
            }
        }
        *self.sends.entry(id).or_default() += 1;
        let queue = &self.queues[&fetch.queue_id];
        assert!(queue.active, "a paused queue sends nothing new");
        let of_queue = self
            .on_the_wire
            .iter()
            .filter(|id| self.rows[id].queue_id == fetch.queue_id)
            .count();
        assert!(
            of_queue <= queue.max_in_flight as usize,
            "queue {} exceeds its limit",
            queue.id
        );
    }

    /// Records a verdict, as the store does.
    pub fn record(&mut self, id: MessageId, verdict: Verdict) -> Option<Timestamp> {
        assert!(self.on_the_wire.remove(&id));
        match verdict {
            Verdict::Delivered | Verdict::Dead => {
                self.rows.remove(&id);
                self.finished.insert(id);
                None
            }
            Verdict::RetryAt(due_at) => {
                assert!(due_at > self.now, "a retry lies ahead");
                let row = self.rows.get_mut(&id).expect("a row in flight is stored");
                row.candidate.attempt += 1;
                row.candidate.due_at = due_at;
                row.candidate.deaths = 0;
                let max_attempts = self.queues[&row.queue_id].retry.max_attempts;
                assert!(
                    row.candidate.attempt < max_attempts,
                    "message {id} exceeds its attempts"
                );
                Some(due_at)
            }
        }
    }

    /// When the first row that is not on the wire is due, among queues that could send it now.
    pub fn earliest_sendable(&self, slots: usize, limit: impl Fn(QueueId) -> u32) -> Option<Timestamp> {
        if self.on_the_wire.len() >= slots {
            return None;
        }
        let room = |queue: &Queue| {
            let used = self
                .on_the_wire
                .iter()
                .filter(|id| self.rows[id].queue_id == queue.id)
                .count();
            let free = slots - self.on_the_wire.len();
            queue.active && used < limit(queue.id) as usize && fair_share(used, free, slots).is_some()
        };
        self.rows
            .values()
            .filter(|row| !self.on_the_wire.contains(&row.candidate.id) && row.candidate.deaths == 0)
            .filter(|row| self.queues.get(&row.queue_id).is_some_and(|queue| room(queue)))
            .map(|row| row.candidate.due_at)
            .min()
    }
}
