//! What users do: they send and change messages, and change queues.

use std::sync::Arc;

use super::policy::Policy;
use super::store::{End, Row};
use super::vocabulary::{Message, QUEUES};
use super::world::World;
use crate::domain::queue::{Queue, QueueId};
use crate::domain::scheduler::{Candidate, KeyHash, MessageId};
use crate::domain::time::Timestamp;

impl World {
    pub fn made(&mut self, message: Message) -> Row {
        self.store.last_id += 1;
        let due_at = self.in_ms(message.in_ms);
        Row {
            queue_id: self.id(message.queue),
            candidate: Candidate {
                id: self.store.last_id,
                due_at,
                attempt: 0,
                attempts_before: 0,
                deaths: 0,
                size: usize::from(message.kib) << 10,
                expires_at: message
                    .ttl_ms
                    .map(|ttl| Timestamp(due_at.0 + i64::from(ttl) * 1000)),
                ordering_key: message.key.map(KeyHash::from),
            },
            poison: message.poison,
            accepted: false,
            is_late: false,
        }
    }

    pub fn send(&mut self, message: Message) {
        let row = self.made(message);
        self.scheduler.note_due(row.queue_id, row.candidate.due_at);
        self.store.rows.insert(row.candidate.id, row);
    }

    pub fn commit_late(&mut self, nth: u8) {
        if self.store.uncommitted.is_empty() {
            return;
        }
        let place = usize::from(nth) % self.store.uncommitted.len();
        let mut row = self.store.uncommitted.remove(place);
        if !self.store.queues.contains_key(&row.queue_id) {
            // Its queue is gone, so the transaction fails.
            self.store.ended.insert(row.candidate.id, End::Cancelled);
            return;
        }
        row.is_late = true;
        self.scheduler.note_due(row.queue_id, row.candidate.due_at);
        self.store.rows.insert(row.candidate.id, row);
    }

    pub fn cancel(&mut self, nth: u8) {
        if let Some(id) = self.store.nth_row(nth) {
            self.note_order_changed(id);
            self.store.end(id, End::Cancelled);
        }
    }

    /// As the trigger `note_order_changed` does.
    pub fn note_order_changed(&mut self, id: MessageId) {
        let row = &self.store.rows[&id];
        if row.candidate.ordering_key.is_some() {
            self.scheduler.note_due(row.queue_id, Timestamp::MIN);
        }
    }

    pub fn update(&mut self, nth: u8, change: impl FnOnce(&mut Row)) {
        let Some(id) = self.store.nth_row(nth) else { return };
        self.note_order_changed(id);
        let Some(row) = self.store.rows.get_mut(&id) else {
            return;
        };
        change(row);
        row.is_late = true;
        self.scheduler.note_due(row.queue_id, row.candidate.due_at);
    }

    pub fn redrive(&mut self, nth: u8, queue: Option<u8>, in_ms: i32) {
        let Some(id) = self.store.nth_letter(nth) else {
            return;
        };
        let Some(letter) = self.store.letters.remove(&id) else {
            return;
        };
        self.note_letter_gone(&letter);
        let queue_id = queue.map_or(letter.queue_id, |queue| self.id(queue));
        let due_at = self.in_ms(in_ms);
        let row = Row {
            queue_id,
            candidate: Candidate {
                due_at,
                attempts_before: letter.candidate.attempt,
                deaths: 0,
                expires_at: None,
                ..letter.candidate
            },
            poison: letter.poison,
            accepted: false,
            is_late: true,
        };
        self.scheduler.note_due(queue_id, due_at);
        self.store.rows.insert(id, row);
    }

    pub fn purge(&mut self, nth: u8) {
        if let Some(id) = self.store.nth_letter(nth)
            && let Some(letter) = self.store.letters.remove(&id)
        {
            self.note_letter_gone(&letter);
            self.store.end(id, End::Purged);
        }
    }

    pub fn note_letter_gone(&mut self, letter: &Row) {
        if letter.candidate.ordering_key.is_some() {
            self.scheduler.note_due(letter.queue_id, Timestamp::MIN);
        }
    }

    pub fn change(&mut self, queue: Arc<Queue>) {
        self.store.queues.insert(queue.id, Arc::clone(&queue));
        self.load(queue);
    }

    pub fn switch(&mut self, id: QueueId, active: bool) {
        if self.store.queues[&id].active != active {
            self.failing.remove(&id);
            self.change(self.policies[&id].of_queue(id, active));
        }
    }

    pub fn suspend(&mut self, queue: u8) {
        let id = self.id(queue);
        if let Some(observed) = self.observed.get_mut(&id) {
            self.scheduler.suspend_queue(id);
            observed.follow(self.policies[&id].of_queue(id, false), self.now);
        }
    }

    /// `hooks.drop_queue(cancel_messages => true)`, and another queue in its place, of which the leader hears
    /// by the first message.
    pub fn replace(&mut self, queue: u8) {
        let place = usize::from(queue) % QUEUES;
        let old = self.ids[place];
        let of_queue: Vec<MessageId> = self.store.of_queue(old).map(|row| row.candidate.id).collect();
        for id in of_queue {
            self.store.end(id, End::Cancelled);
        }
        let letters: Vec<MessageId> = self
            .store
            .letters
            .iter()
            .filter(|(_, letter)| letter.queue_id == old)
            .map(|(id, _)| *id)
            .collect();
        for id in letters {
            self.store.letters.remove(&id);
            self.store.end(id, End::Purged);
        }
        self.store.queues.remove(&old);
        self.observed.remove(&old);
        self.failing.remove(&old);
        self.scheduler.drop_queue(old);
        let new = old + QUEUES as QueueId;
        self.ids[place] = new;
        let policy = self.policies.remove(&old).unwrap_or(Policy::PLAIN);
        self.store.queues.insert(new, policy.of_queue(new, true));
        self.policies.insert(new, policy);
    }
}
