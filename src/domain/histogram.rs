//! How long things took: durations counted in buckets that grow with them.
//!
//! Each octave of microseconds has eight buckets, as in HdrHistogram. A quantile is answered with the
//! middle of its bucket, and so is off by a sixteenth (6.25 %) at most; below 16 us it is exact.
//! Only buckets that hold something are kept.

use std::time::Duration;

use super::varint;

/// Buckets of one octave, as a power of two.
const SUB_BITS: u32 = 3;
const SUBS: u64 = 1 << SUB_BITS;
/// Longer ones count as this: 2^42 us are 50 days.
const LONGEST_MICROS: u64 = 1 << 42;

/// Durations, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// (bucket, how many), in the order of buckets; no count is 0.
    counts: Vec<(u32, u64)>,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, duration: Duration) {
        self.add(bucket(counted_micros(duration)), 1);
    }

    /// Counts all that the other one counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in &other.counts {
            self.add(*bucket, *count);
        }
    }

    fn add(&mut self, bucket: u32, count: u64) {
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The duration that this share of them, 0 to 1, did not exceed; `None` when nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all = self.count();
        let rank = ((all as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, all.max(1));
        let mut passed = 0_u64;
        let (bucket, _) = self.counts.iter().find(|(_, count)| {
            passed = passed.saturating_add(*count);
            passed >= rank
        })?;
        Some(Duration::from_micros(middle(*bucket)))
    }

    /// Appends the form in which it is stored: how many buckets, then for each the steps from the one
    /// before and the count.
    pub fn encode(&self, into: &mut Vec<u8>) {
        varint::put(self.counts.len() as u64, into);
        let mut before = 0;
        for (bucket, count) in &self.counts {
            varint::put(u64::from(bucket - before), into);
            varint::put(*count, into);
            before = *bucket;
        }
    }

    /// The stored form alone.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 3 * self.counts.len());
        self.encode(&mut bytes);
        bytes
    }

    /// Takes the stored form off the front; `None` when it is none.
    pub fn decode(from: &mut &[u8]) -> Option<Histogram> {
        let mut histogram = Histogram::default();
        let mut bucket = 0_u32;
        for _ in 0..varint::take(from)? {
            bucket = bucket.checked_add(u32::try_from(varint::take(from)?).ok()?)?;
            if bucket > self::bucket(LONGEST_MICROS) {
                return None;
            }
            histogram.add(bucket, varint::take(from)?);
        }
        Some(histogram)
    }
}

/// Microseconds that a duration counts as.
#[must_use]
pub fn counted_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(u64::MAX)
        .min(LONGEST_MICROS)
}

/// The bucket of a number: itself while it is small, then its highest four bits.
fn bucket(micros: u64) -> u32 {
    if micros < 2 * SUBS {
        return micros as u32;
    }
    let octave = micros.ilog2() - SUB_BITS;
    octave * SUBS as u32 + (micros >> octave) as u32
}

/// The middle of a bucket.
fn middle(bucket: u32) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < 2 * SUBS {
        return bucket;
    }
    let octave = bucket / SUBS - 1;
    let lowest = (bucket - octave * SUBS) << octave;
    lowest + (1 << octave) / 2
}

#[cfg(test)]
mod tests;
