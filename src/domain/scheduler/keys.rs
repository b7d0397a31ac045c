//! Strict order within a key: one message of it in flight, the one of the lowest id first.
//!
//! A row that is read in the order of due times only makes its key known; what is sent is the first
//! row of the key, which is read for itself. So a key with a million rows costs no more than any
//! other, and memory is held only for keys that are in flight or about to be.

use std::collections::{HashMap, VecDeque};

use super::{Head, KeyHash, MessageId};

/// So many keys may wait for their first row to be read. Rows of further ones are passed over, and met
/// again from the beginning when half of these are worked off.
const MOST_WANTED: usize = if cfg!(any(test, simulation)) { 8 } else { 16_384 };
/// Keys at rest that are remembered, so that their finished rows need not be walked again.
const REMEMBERED: usize = 4096;

/// The ordering keys of one queue.
#[derive(Default)]
pub struct Keys {
    known: HashMap<KeyHash, Known>,
    wanted: VecDeque<KeyHash>,
    /// Keys were left out because too many waited.
    overflowed: bool,
}

struct Known {
    place: Place,
    /// No row has a lower id, as far as known.
    from: MessageId,
    /// Others were met while one was in flight.
    others_met: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing is known to wait.
    AtRest,
    /// Its first row is to be read.
    Wanted,
    InFlight,
}

impl Keys {
    /// A row of this key was met.
    pub fn meet(&mut self, key: KeyHash, id: MessageId) {
        if self.known.len() > REMEMBERED + self.wanted.len() && !self.known.contains_key(&key) {
            self.known.retain(|_, known| known.place != Place::AtRest);
        }
        let known = self.known.entry(key).or_insert(Known {
            place: Place::AtRest,
            from: MessageId::MIN,
            others_met: false,
        });
        known.from = known.from.min(id);
        known.others_met = true;
        if known.place == Place::AtRest {
            if self.wanted.len() >= MOST_WANTED {
                self.overflowed = true;
                self.known.remove(&key);
            } else {
                known.place = Place::Wanted;
                self.wanted.push_back(key);
            }
        }
    }

    /// Whether first rows are to be read, or keys to be met that were left out.
    pub fn any_wanted(&self) -> bool {
        !self.wanted.is_empty() || self.overflowed
    }

    /// Whether keys that were left out can be met again now: all rows are to be read anew.
    pub fn take_overflow(&mut self) -> bool {
        self.wanted.len() < MOST_WANTED / 2 && std::mem::take(&mut self.overflowed)
    }

    /// Up to `limit` first rows to read. Each is answered by [`Keys::fly`], [`Keys::rest`] or
    /// [`Keys::want`].
    pub fn take(&mut self, limit: usize) -> Vec<Head> {
        let taken = self.wanted.drain(..limit.min(self.wanted.len()));
        let known = &self.known;
        taken
            .map(|key| Head {
                key,
                from: known.get(&key).map_or(MessageId::MIN, |known| known.from),
            })
            .collect()
    }

    /// The first row of a key is sent.
    pub fn fly(&mut self, key: KeyHash, id: MessageId) {
        if let Some(known) = self.known.get_mut(&key) {
            known.place = Place::InFlight;
            known.from = id;
            known.others_met = false;
        }
    }

    /// The first row of a key cannot be sent now, if there is one; it is met again when it can.
    pub fn rest(&mut self, key: KeyHash) {
        if let Some(known) = self.known.get_mut(&key) {
            known.place = Place::AtRest;
        }
    }

    /// The first row of a key is to be read at the next turn.
    pub fn want(&mut self, key: KeyHash) {
        let known = self.known.entry(key).or_insert(Known {
            place: Place::AtRest,
            from: MessageId::MIN,
            others_met: false,
        });
        if !matches!(known.place, Place::InFlight) && !self.wanted.contains(&key) {
            known.place = Place::Wanted;
            self.wanted.push_front(key);
        }
    }

    /// A message is no longer in flight. The next of its key goes when it is `finished`, or when another one
    /// was met meanwhile: that may be an earlier one, or this one may have been moved to another queue.
    pub fn land(&mut self, key: KeyHash, finished: bool) {
        if let Some(known) = self.known.get_mut(&key)
            && known.place == Place::InFlight
        {
            let goes_on = finished || known.others_met;
            // Keys that were left out go first; this one is met again with them.
            if goes_on && !self.overflowed {
                known.place = Place::Wanted;
                self.wanted.push_back(key);
            } else {
                known.place = Place::AtRest;
            }
        }
    }
}
