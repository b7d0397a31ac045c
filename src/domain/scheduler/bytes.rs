//! Bytes of large messages in flight: a budget for all, and one message beyond it.
//!
//! Without that one, a message that is larger than what is left would wait until hardly anything else is in flight, and
//! behind a steady flow of others for ever. Which one is beyond goes in turns: a queue that was refused it
//! has a claim to it as long as it waits for bytes.

use super::lane::{Lack, Lane};
use super::{Fetch, KeyHash, MessageId, Scheduler};
use crate::domain::queue::QueueId;

/// Most bytes of large messages in flight, but for the one beyond.
pub const BYTE_BUDGET: usize = 16 << 20;

/// Messages up to this size, in bytes, are bounded by the slots alone.
const SMALL_BYTES: usize = 8 << 10;

/// What a message of this size counts for.
pub fn weight(size: usize) -> usize {
    if size > SMALL_BYTES { size } else { 0 }
}

/// Of all queues.
#[derive(Default)]
pub struct Bytes {
    /// Bytes in flight that count against the budget.
    pub counted: usize,
    /// The message in flight beyond the budget.
    pub beyond: Option<MessageId>,
    claim: Option<Claim>,
}

/// Which queue has the next message beyond the budget.
struct Claim {
    queue_id: QueueId,
    /// The key of the message that was refused.
    key: Option<KeyHash>,
}

/// Where a message has its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Within,
    Beyond,
}

impl Bytes {
    pub fn start(&mut self, id: MessageId, weight: usize, fit: Fit) {
        match fit {
            Fit::Within => self.counted += weight,
            Fit::Beyond => self.beyond = Some(id),
        }
    }

    pub fn land(&mut self, id: MessageId, weight: usize) {
        if self.beyond == Some(id) {
            self.beyond = None;
        } else {
            self.counted = self.counted.saturating_sub(weight);
        }
    }
}

impl Scheduler {
    /// The place for one more message of a queue, unless it must wait. A queue gets more only while it holds no more
    /// than is left for all.
    pub(super) fn fit(&self, queue_id: QueueId, lane: &Lane, weight: usize) -> Option<Fit> {
        let left = BYTE_BUDGET.saturating_sub(self.bytes.counted);
        if weight == 0 {
            return Some(Fit::Within);
        }
        if lane.bytes > left {
            return None;
        }
        if weight <= left {
            return Some(Fit::Within);
        }
        let is_free = self.bytes.beyond.is_none() && !self.is_claimed_by_other(queue_id);
        is_free.then_some(Fit::Beyond)
    }

    /// Whether another queue comes first, and waits for nothing else.
    fn is_claimed_by_other(&self, queue_id: QueueId) -> bool {
        let claim = self.bytes.claim.as_ref();
        let other = claim.filter(|claim| claim.queue_id != queue_id);
        other.is_some_and(|claim| self.waits_for_bytes(claim.queue_id))
    }

    /// Whether a queue waits for bytes, or is about to be read.
    fn waits_for_bytes(&self, queue_id: QueueId) -> bool {
        self.lanes.get(&queue_id).is_some_and(|lane| {
            let is_about_to_be_read = lane.in_turn || lane.granted > 0;
            lane.queue.active && (is_about_to_be_read || lane.lacks == Some(Lack::Bytes))
        })
    }

    /// A message of this queue was refused: it is the next one beyond the budget, unless others were refused before,
    /// or its queue holds too much itself.
    pub(super) fn claim(&mut self, queue_id: QueueId, key: Option<KeyHash>) {
        let left = BYTE_BUDGET.saturating_sub(self.bytes.counted);
        let holds_little = self.lanes.get(&queue_id).is_some_and(|lane| lane.bytes <= left);
        if holds_little && !self.is_claimed_by_other(queue_id) {
            self.bytes.claim = Some(Claim { queue_id, key });
        }
    }

    /// A fetch brings the message that was refused, if it is still there: it takes off, or is refused again. Returns
    /// whether that was so.
    pub(super) fn take_claim(&mut self, fetch: &Fetch) -> bool {
        let claim = self.bytes.claim.take_if(|claim| {
            let is_looked_for = match claim.key {
                None => fetch.range.is_some(),
                Some(key) => fetch.heads.iter().any(|head| head.key == key),
            };
            claim.queue_id == fetch.queue_id && is_looked_for
        });
        claim.is_some()
    }

    /// A queue was read. If it had the claim and has it no more, or can make no use of it now, others need not wait.
    pub(super) fn settle_claim(&mut self, queue_id: QueueId, had_claim: bool) {
        match &self.bytes.claim {
            None if had_claim => self.ease(&[Lack::Bytes]),
            Some(_) if !self.waits_for_bytes(queue_id) => self.give_up_claim(queue_id),
            _ => {}
        }
    }

    /// This queue waits for something else, or for nothing: others need not wait for it.
    pub(super) fn give_up_claim(&mut self, queue_id: QueueId) {
        let is_its = |claim: &mut Claim| claim.queue_id == queue_id;
        if self.bytes.claim.take_if(is_its).is_some() {
            self.ease(&[Lack::Bytes]);
        }
    }
}
