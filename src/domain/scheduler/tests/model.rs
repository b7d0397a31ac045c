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
    /// Admitted to be ended, not to be sent.
    pub ends: BTreeMap<MessageId, Verdict>,
    /// The earliest dead letter of each key.
    pub dead: BTreeMap<(QueueId, Option<KeyHash>), MessageId>,
    pub sends: BTreeMap<MessageId, u32>,
    pub next_id: MessageId,
    /// Committed after messages with higher ids: their order to these is not defined.
    pub committed_late: BTreeSet<MessageId>,
}

impl World {
    pub fn new(queues: Vec<Arc<Queue>>) -> World {
        World {
            now: Timestamp(1_000 * SECOND),
            queues: queues.into_iter().map(|queue| (queue.id, queue)).collect(),
            rows: BTreeMap::new(),
            on_the_wire: BTreeSet::new(),
            finished: BTreeSet::new(),
            ends: BTreeMap::new(),
            dead: BTreeMap::new(),
            sends: BTreeMap::new(),
            next_id: 1,
            committed_late: BTreeSet::new(),
        }
    }

    /// A transaction commits a message whose due time was decided up to a second ago, or ahead.
    pub fn commit(&mut self, queue_id: QueueId, row: Candidate) {
        self.next_id = self.next_id.max(row.id + 1);
        self.rows.insert(
            row.id,
            Stored {
                queue_id,
                candidate: row,
            },
        );
    }

    /// What the fetch statement of the store returns.
    pub fn read(&self, fetch: &Fetch) -> (Vec<Candidate>, Option<Timestamp>) {
        let Some(range) = fetch.range else {
            return (Vec::new(), None);
        };
        let mut rows: Vec<Candidate> = self.of_queue(fetch.queue_id).collect();
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
            place > range.after && row.due_at <= self.now
        });
        rows.truncate(range.limit as usize);
        (rows, next_due)
    }

    /// The first row of each key asked for, unless a dead letter holds it back.
    pub fn read_heads(&self, fetch: &Fetch) -> Vec<Candidate> {
        let first = |head: &Head| {
            self.of_queue(fetch.queue_id)
                .filter(|row| row.ordering_key == Some(head.key) && row.id >= head.from)
                .min_by_key(|row| row.id)
        };
        let blocked = |row: &Candidate| {
            let dead = self.dead.get(&(fetch.queue_id, row.ordering_key));
            fetch.dead_letters_block && dead.is_some_and(|dead| *dead < row.id)
        };
        let heads = fetch.heads.iter().filter_map(first);
        heads.filter(|row| !blocked(row)).collect()
    }

    fn of_queue(&self, queue_id: QueueId) -> impl Iterator<Item = Candidate> + '_ {
        let rows = self.rows.values().filter(move |row| row.queue_id == queue_id);
        rows.map(|row| row.candidate)
    }

    /// Order within a key: nothing earlier waits, and nothing else is on the wire.
    fn check_order(&self, queue_id: QueueId, row: Candidate) {
        let Some(key) = row.ordering_key else { return };
        let of_key = self
            .of_queue(queue_id)
            .filter(|other| other.ordering_key == Some(key));
        for other in of_key.filter(|other| other.id != row.id) {
            let (id, other) = (row.id, other.id);
            let late = self.committed_late.contains(&other);
            assert!(
                other > id || late,
                "message {id} was sent before {other} of its key"
            );
            assert!(
                !self.on_the_wire.contains(&other),
                "{id} and {other} of a key are in flight"
            );
        }
        let dead = self.dead.get(&(queue_id, row.ordering_key));
        let blocks = self.queues[&queue_id].dead_letters_block;
        assert!(
            !blocks || dead.is_none_or(|dead| *dead > row.id),
            "a dead letter holds {} back",
            row.id
        );
    }

    /// Takes the scheduler's word for what to send, and checks it.
    pub fn send(&mut self, fetch: &Fetch, admission: Admission) {
        let id = admission.id();
        let row = self.rows.get(&id).expect("only rows that were read are admitted");
        assert_eq!(row.queue_id, fetch.queue_id);
        assert!(
            row.candidate.due_at <= self.now,
            "message {id} was sent before it was due"
        );
        let candidate = row.candidate;
        let expired = candidate.expires_at.is_some_and(|at| at <= self.now);
        assert_eq!(
            expired,
            admission == Admission::Expire(id),
            "message {id} expires in time"
        );
        self.check_order(fetch.queue_id, candidate);
        assert!(self.on_the_wire.insert(id), "message {id} is in flight twice");
        assert!(
            !self.finished.contains(&id),
            "message {id} was sent after its end"
        );
        let row = self.rows.get_mut(&id).expect("it was there before");
        match admission {
            Admission::Send(_) => assert_eq!(row.candidate.deaths, 0, "a suspect is claimed"),
            Admission::ClaimAndSend(_) => row.candidate.deaths += 1,
            Admission::Bury(_) => {
                self.ends.insert(id, Verdict::Dead);
            }
            Admission::Expire(_) => {
                self.ends.insert(id, Verdict::Expired);
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
            Verdict::Delivered | Verdict::Dead | Verdict::Expired => {
                let row = self.rows.remove(&id).expect("a row in flight is stored");
                self.finished.insert(id);
                if verdict == Verdict::Dead && row.candidate.ordering_key.is_some() {
                    let of_key = (row.queue_id, row.candidate.ordering_key);
                    let dead = self.dead.entry(of_key).or_insert(id);
                    *dead = id.min(*dead);
                }
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
    pub fn earliest_sendable(&self, slots: usize, lanes: &HashMap<QueueId, Lane>) -> Option<Timestamp> {
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
            let lane = &lanes[&queue.id];
            let trusted = lane.trust.limit(free, slots, self.now);
            queue.active && used < lane.limit() as usize && fair_share(used, trusted, free, slots).is_some()
        };
        self.rows
            .values()
            .filter(|row| !self.on_the_wire.contains(&row.candidate.id) && row.candidate.deaths == 0)
            .filter(|row| self.is_first_of_key(row))
            .filter(|row| self.queues.get(&row.queue_id).is_some_and(|queue| room(queue)))
            .map(|row| row.candidate.due_at)
            .min()
    }

    /// Whether no other row or dead letter of its key comes before it.
    fn is_first_of_key(&self, row: &Stored) -> bool {
        let key = row.candidate.ordering_key;
        if key.is_none() {
            return true;
        }
        let of_key = self
            .of_queue(row.queue_id)
            .filter(|other| other.ordering_key == key);
        let earliest = of_key.map(|other| other.id).min();
        let on_the_wire = |id: &MessageId| {
            self.rows[id].queue_id == row.queue_id && self.rows[id].candidate.ordering_key == key
        };
        let dead = self.dead.get(&(row.queue_id, key));
        let blocked =
            self.queues[&row.queue_id].dead_letters_block && dead.is_some_and(|d| *d < row.candidate.id);
        earliest == Some(row.candidate.id) && !self.on_the_wire.iter().any(on_the_wire) && !blocked
    }
}
