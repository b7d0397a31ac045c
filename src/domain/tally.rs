//! What became of attempts and messages, counted for each queue.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::{self, Histogram};
use super::queue::QueueId;
use super::time::Timestamp;
use super::varint;

/// Stands for all queues together. Only a row that was replicated may have this id for a queue of its own.
pub const ALL_QUEUES: QueueId = 0;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts made, and those of them that failed.
    pub attempts: u64,
    pub failed: u64,
    /// Messages that ended.
    pub delivered: u64,
    pub dead: u64,
    pub expired: u64,
    /// How long messages waited from their commit, or the time they were sent for, until delivered.
    pub latency: Times,
    /// How long attempts took.
    pub duration: Times,
    /// When a receiver last accepted a message. Not kept over a crash.
    pub last_success: Option<Timestamp>,
    /// The last failed attempt. Not kept over a crash.
    pub last_failure: Option<Failed>,
}

/// Durations: their sum, and how they are distributed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub micros: u64,
    pub histogram: Histogram,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub at: Timestamp,
    pub status: Option<u16>,
    /// As in `hooks.attempt.error_class`.
    pub class: &'static str,
    pub text: String,
}

impl Times {
    /// Counts one; the longest as the histogram does, so that it does not drown all others.
    pub fn record(&mut self, duration: Duration) {
        self.micros = self.micros.saturating_add(histogram::counted_micros(duration));
        self.histogram.record(duration);
    }

    fn merge(&mut self, other: &Times) {
        self.micros = self.micros.saturating_add(other.micros);
        self.histogram.merge(&other.histogram);
    }
}

impl Counts {
    /// Adds what was counted later.
    pub fn merge(&mut self, later: &Counts) {
        let own = [
            &mut self.attempts,
            &mut self.failed,
            &mut self.delivered,
            &mut self.dead,
            &mut self.expired,
        ];
        for (own, more) in own.into_iter().zip(later.numbers()) {
            *own = own.saturating_add(more);
        }
        self.latency.merge(&later.latency);
        self.duration.merge(&later.duration);
        self.last_success = self.last_success.max(later.last_success);
        if later.last_failure.is_some() {
            self.last_failure.clone_from(&later.last_failure);
        }
    }

    fn numbers(&self) -> [u64; 5] {
        [
            self.attempts,
            self.failed,
            self.delivered,
            self.dead,
            self.expired,
        ]
    }

    fn encode(&self, into: &mut Vec<u8>) {
        for number in self.numbers() {
            varint::put(number, into);
        }
        for times in [&self.latency, &self.duration] {
            varint::put(times.micros, into);
            times.histogram.encode(into);
        }
    }

    fn decode(from: &mut &[u8]) -> Option<Counts> {
        let mut counts = Counts::default();
        let numbers = [
            &mut counts.attempts,
            &mut counts.failed,
            &mut counts.delivered,
            &mut counts.dead,
            &mut counts.expired,
        ];
        for number in numbers {
            *number = varint::take(from)?;
        }
        for times in [&mut counts.latency, &mut counts.duration] {
            times.micros = varint::take(from)?;
            times.histogram = Histogram::decode(from)?;
        }
        Some(counts)
    }
}

/// The counts of some queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    queues: BTreeMap<QueueId, Counts>,
}

impl Tally {
    /// The counts of a queue, to be added to.
    pub fn of(&mut self, queue_id: QueueId) -> &mut Counts {
        self.queues.entry(queue_id).or_default()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Adds what was counted later.
    pub fn merge(&mut self, later: &Tally) {
        for (queue_id, counts) in &later.queues {
            self.of(*queue_id).merge(counts);
        }
    }

    /// Each queue with its counts, and [`ALL_QUEUES`] with their sums before them. What has that id itself is
    /// in the sums alone.
    #[must_use]
    pub fn with_all(&self) -> Vec<(QueueId, Counts)> {
        let mut all = Counts::default();
        for counts in self.queues.values() {
            all.merge(counts);
        }
        let each = self.queues.iter().filter(|(id, _)| **id != ALL_QUEUES);
        let each = each.map(|(id, counts)| (*id, counts.clone()));
        std::iter::once((ALL_QUEUES, all)).chain(each).collect()
    }

    /// The form in which it is stored, without the last success and failure.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 * self.queues.len());
        for (queue_id, counts) in &self.queues {
            varint::put(queue_id.cast_unsigned(), &mut bytes);
            counts.encode(&mut bytes);
        }
        bytes
    }

    /// Reads the stored form; `None` when it is none.
    #[must_use]
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Tally> {
        let mut tally = Tally::default();
        while !bytes.is_empty() {
            let queue_id = varint::take(&mut bytes)?.cast_signed();
            tally.of(queue_id).merge(&Counts::decode(&mut bytes)?);
        }
        Some(tally)
    }
}

#[cfg(test)]
mod tests;
