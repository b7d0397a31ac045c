//! Strict order within a key: one message of it in flight, the one of the lowest id first.
//!
//! A row that is read in the order of due times only makes its key known; what is sent is the first
//! row of the key, which is read for itself. So a key with a million rows costs no more than any
//! other, and memory is held only for keys that are in flight or about to be.

use std::collections::{HashMap, VecDeque};

use super::lane::Cursor;
use super::{Head, KeyHash, MessageId};
use crate::domain::time::Timestamp;

/// So many keys may wait for their first row to be read. Rows of further ones are passed over, and met again, from
/// the first of them on, when half of these are worked off.
const MOST_WANTED: usize = if cfg!(any(test, simulation)) { 8 } else { 16_384 };
/// Keys at rest that are remembered, so that their finished rows need not be walked again.
const REMEMBERED: usize = 4096;

/// The ordering keys of one queue.
#[derive(Default)]
pub struct Keys {
    known: HashMap<KeyHash, Known>,
    wanted: VecDeque<KeyHash>,
    /// From here on keys were left out, because too many waited.
    left_out: Option<Cursor>,
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
    /// A row of this key was met at this place.
    pub fn meet(&mut self, key: KeyHash, place: Cursor) {
        if self.known.len() > REMEMBERED + self.wanted.len() && !self.known.contains_key(&key) {
            self.known.retain(|_, known| known.place != Place::AtRest);
        }
        let known = self.known.entry(key).or_insert(Known {
            place: Place::AtRest,
            from: MessageId::MIN,
            others_met: false,
        });
        known.from = known.from.min(place.id);
        known.others_met = true;
        if known.place == Place::AtRest {
            if self.wanted.len() >= MOST_WANTED {
                self.known.remove(&key);
                self.leave_out(place);
            } else {
                known.place = Place::Wanted;
                self.wanted.push_back(key);
            }
        }
    }

    fn leave_out(&mut self, place: Cursor) {
        self.left_out = Some(self.left_out.map_or(place, |first| first.min(place)));
    }

    /// Whether first rows are to be read, or keys to be met that were left out.
    pub fn any_wanted(&self) -> bool {
        !self.wanted.is_empty() || self.left_out.is_some()
    }

    /// Where keys were left out that can be met again now: rows are to be read anew from there. Those before it are
    /// not, or keys that cannot be sent now would take the places again, and again leave out the same ones.
    pub fn take_left_out(&mut self) -> Option<Cursor> {
        if self.wanted.len() < MOST_WANTED / 2 {
            self.left_out.take()
        } else {
            None
        }
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
            if !goes_on {
                known.place = Place::AtRest;
            } else if self.left_out.is_none() {
                known.place = Place::Wanted;
                self.wanted.push_back(key);
            } else {
                // Keys that were left out go first; this one is met again, wherever its rows are.
                known.place = Place::AtRest;
                self.leave_out(Cursor::before(Timestamp::MIN));
            }
        }
    }
}
