//! A model of the tables: what is committed, and what the statements of `src/store` return of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::queue::{Queue, QueueId};
use crate::domain::scheduler::{Candidate, Cursor, Fetch, Head, KeyHash, MessageId};
use crate::domain::time::Timestamp;

/// A row of `hooks.message`.
#[derive(Clone, Debug)]
pub struct Row {
    pub queue_id: QueueId,
    pub candidate: Candidate,
    /// The worker dies of sending it.
    pub poison: bool,
    /// Its receiver accepted it, and this leader knows.
    pub accepted: bool,
    /// It became visible, or came to its key, after others with higher ids: its order to these is not defined.
    pub is_late: bool,
}

/// How a message ended that is neither waiting nor a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    Expired,
    Cancelled,
    Purged,
}

/// All tables.
#[derive(Default)]
pub struct Store {
    pub queues: BTreeMap<QueueId, Arc<Queue>>,
    pub rows: BTreeMap<MessageId, Row>,
    /// `hooks.dead_letter`.
    pub letters: BTreeMap<MessageId, Row>,
    /// `hooks.message_log`.
    pub ended: BTreeMap<MessageId, End>,
    /// Rows of transactions that are not committed yet.
    pub uncommitted: Vec<Row>,
    pub last_id: MessageId,
}

impl Store {
    /// The row of that number, counted modulo how many there are.
    pub fn nth_row(&self, nth: u8) -> Option<MessageId> {
        nth_of(&self.rows, nth)
    }

    pub fn nth_letter(&self, nth: u8) -> Option<MessageId> {
        nth_of(&self.letters, nth)
    }

    /// Rows of a queue.
    pub fn of_queue(&self, queue_id: QueueId) -> impl Iterator<Item = &Row> + Clone {
        self.rows.values().filter(move |row| row.queue_id == queue_id)
    }

    /// Rows of a key, in the order of their ids.
    pub fn of_key(&self, queue_id: QueueId, key: KeyHash) -> impl Iterator<Item = &Row> {
        self.of_queue(queue_id)
            .filter(move |row| row.candidate.ordering_key == Some(key))
    }

    /// Whether a dead letter of the key has a lower id.
    pub fn is_behind_a_letter(&self, queue_id: QueueId, key: KeyHash, id: MessageId) -> bool {
        let mut earlier = self.letters.range(..id);
        earlier.any(|(_, letter)| letter.queue_id == queue_id && letter.candidate.ordering_key == Some(key))
    }

    /// The rows of the range, and when the first one after those due by `now` is due.
    pub fn read(&self, fetch: &Fetch, now: Timestamp) -> (Vec<Candidate>, Option<Timestamp>) {
        let Some(range) = fetch.range else {
            return (Vec::new(), None);
        };
        let all = self.of_queue(fetch.queue_id).map(|row| row.candidate);
        let next_due = all
            .clone()
            .map(|row| row.due_at)
            .filter(|due_at| *due_at > now)
            .min();
        let place = |row: &Candidate| Cursor {
            due_at: row.due_at,
            id: row.id,
        };
        let mut rows: Vec<Candidate> = all
            .filter(|row| row.due_at <= now && place(row) > range.after)
            .collect();
        rows.sort_by_key(place);
        rows.truncate(range.limit as usize);
        (rows, next_due)
    }

    /// The first row of each key asked for, unless a dead letter holds it back.
    pub fn read_heads(&self, fetch: &Fetch) -> Vec<Candidate> {
        let first = |head: &Head| {
            let mut rows = self.of_key(fetch.queue_id, head.key).map(|row| row.candidate);
            rows.find(|row| row.id >= head.from).filter(|row| {
                !(fetch.dead_letters_block && self.is_behind_a_letter(fetch.queue_id, head.key, row.id))
            })
        };
        fetch.heads.iter().filter_map(first).collect()
    }

    /// Ends a message that is not finished.
    pub fn end(&mut self, id: MessageId, end: End) {
        self.rows.remove(&id);
        let before = self.ended.insert(id, end);
        crate::rule!(
            before.is_none(),
            "a message ends once",
            "message {id} was {before:?} and is {end:?}"
        );
    }

    /// Every message has its id from 1 on; each of these is in one place.
    pub fn check(&self) {
        let places = self.rows.len() + self.letters.len() + self.ended.len() + self.uncommitted.len();
        crate::rule!(
            places as i64 == self.last_id,
            "each message waits, is a dead letter, or ended",
            "{places} of {} do",
            self.last_id
        );
    }
}

fn nth_of(rows: &BTreeMap<MessageId, Row>, nth: u8) -> Option<MessageId> {
    let place = usize::from(nth) % rows.len().max(1);
    rows.keys().nth(place).copied()
}
