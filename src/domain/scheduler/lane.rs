//! What is known of one queue while its messages are sent.

use std::sync::Arc;
use std::time::Duration;

use super::keys::Keys;
use super::{Fetch, Head, Notice, Range};
use crate::domain::breaker::{Breaker, Change};
use crate::domain::failing::Failing;
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;
use crate::domain::rate::Bucket;
use crate::domain::throttle::Throttle;
use crate::domain::time::Timestamp;
use crate::domain::trust::Trust;

/// A place in the order of (due time, id); rows after it are not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub due_at: Timestamp,
    pub id: i64,
}

impl Cursor {
    /// Before every row due at `at`.
    #[must_use]
    pub fn before(at: Timestamp) -> Cursor {
        Cursor {
            due_at: at,
            id: i64::MIN,
        }
    }
}

/// Most rows to read at once beyond those that may be sent.
const LONGEST_STRIDE: u32 = 1024;

/// What a queue has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Slots,
    Bytes,
}

/// One queue.
pub struct Lane {
    pub queue: Arc<Queue>,
    pub in_flight: u32,
    /// Bytes of what is in flight.
    pub bytes: usize,
    pub cursor: Cursor,
    /// No row that is not read yet is due before this; [`Timestamp::MAX`] if none is known.
    pub next_due: Timestamp,
    /// The last fetch left due rows unread.
    pub has_more: bool,
    /// Messages the running fetch may bring.
    pub granted: u32,
    pub keys: Keys,
    pub trust: Trust,
    /// Whose turn it is when there is one slot for a key and for the range.
    range_first: bool,
    /// Rows to read beyond those that may be sent.
    stride: u32,
    /// It stands in the row of turns.
    pub in_turn: bool,
    /// It is counted among those that have more to send than they may.
    pub pressed: bool,
    /// What it waits for others to give back.
    pub lacks: Option<Lack>,
    /// It stands among the waiting, under this time.
    pub waits_until: Option<Timestamp>,
    /// The receiver asked to be left alone until then.
    held_until: Timestamp,
    bucket: Bucket,
    /// Counts its rate limits: what counts for an earlier one does not concern the present one.
    pub meter: u32,
    breaker: Breaker,
    /// What is known of its failures since the last success.
    pub failing: Failing,
    throttle: Throttle,
    /// What took off earlier went to another receiver, or to one that somebody has looked after since.
    judged_from: Timestamp,
    /// The furthest the cursor ever was: up to here a fetch also meets rows in flight.
    furthest: Cursor,
}

impl Lane {
    pub fn new(queue: Arc<Queue>) -> Lane {
        Lane {
            queue,
            in_flight: 0,
            bytes: 0,
            pressed: false,
            lacks: None,
            cursor: Cursor::before(Timestamp::MIN),
            next_due: Timestamp::MAX,
            has_more: false,
            granted: 0,
            keys: Keys::default(),
            trust: Trust::none(),
            range_first: false,
            stride: 0,
            in_turn: false,
            waits_until: None,
            held_until: Timestamp::MIN,
            bucket: Bucket::new(),
            meter: 0,
            breaker: Breaker::new(),
            failing: Failing::default(),
            throttle: Throttle::open(),
            judged_from: Timestamp::MIN,
            furthest: Cursor::before(Timestamp::MIN),
        }
    }

    /// Takes over a changed policy. A queue that was switched on again starts afresh, but gently; so does one that
    /// sends to another place, but that an open breaker stays so until a probe goes there.
    pub fn follow(&mut self, queue: Arc<Queue>, now: Timestamp) {
        let is_resumed = queue.active && !self.queue.active;
        if is_resumed {
            self.breaker = Breaker::new();
        }
        if is_resumed || queue.endpoint != self.queue.endpoint {
            self.breaker.forget_failures();
            self.failing = Failing::default();
            self.throttle = Throttle::slow_start();
            self.held_until = Timestamp::MIN;
            self.judged_from = now;
        }
        if queue.breaker.is_none() {
            self.breaker = Breaker::new();
        }
        if queue.rate_limit != self.queue.rate_limit {
            self.bucket = Bucket::new();
            self.meter = self.meter.wrapping_add(1);
        }
        if self.queue.dead_letters_block && !queue.dead_letters_block {
            // Keys that were held back are met again.
            self.note(Timestamp::MIN);
        }
        self.queue = queue;
    }

    /// A row may be due at `at`. Returns whether that changes when to read.
    pub fn note(&mut self, at: Timestamp) -> bool {
        if at <= self.cursor.due_at {
            self.furthest = self.furthest.max(self.cursor);
            self.cursor = Cursor::before(at);
        }
        let earlier = at < self.next_due;
        if earlier {
            self.next_due = at;
        }
        earlier
    }

    /// Rows from this place on are to be read again.
    fn go_back_to(&mut self, place: Cursor) {
        let before = Cursor {
            id: place.id.saturating_sub(1),
            ..place
        };
        if before < self.cursor {
            self.furthest = self.furthest.max(self.cursor);
            self.cursor = before;
        }
        self.next_due = self.next_due.min(place.due_at);
    }

    /// Whether it has, or will have, something to read, and room for it.
    pub fn wants_reading(&self) -> bool {
        self.queue.active
            && self.granted == 0
            && self.lacks.is_none()
            && self.in_flight < self.limit()
            && self.breaker.allowance(self.in_flight, Timestamp::MAX) > 0
            && (self.has_work() || self.next_due < Timestamp::MAX)
    }

    /// Whether it has more to send than it may have in flight.
    pub fn is_full_with_work(&self) -> bool {
        self.queue.active && self.has_work() && self.in_flight >= self.limit()
    }

    /// Whether something is known to be due.
    pub fn has_work(&self) -> bool {
        self.has_more || self.keys.any_wanted()
    }

    /// The clock was set back: what it waits for on its own account comes earlier by as much. Rows are due when
    /// they are due.
    pub fn set_back(&mut self, by: Duration) {
        self.held_until = self.held_until.before(by);
        self.judged_from = self.judged_from.before(by);
        self.bucket.set_back(by);
        self.breaker.set_back(by);
        self.trust.set_back(by);
    }

    /// When a message may start at the earliest, as far as receiver, breaker and rate limit go.
    pub fn ready_at(&self) -> Timestamp {
        let rate = self
            .queue
            .rate_limit
            .as_ref()
            .map_or(Timestamp::MIN, |rate| self.bucket.next_at(rate));
        self.held_until.max(self.breaker.ready_at()).max(rate)
    }

    /// The fetch for at most `share` messages; `None` when the queue cannot send now.
    pub fn grant(&mut self, share: u32, now: Timestamp) -> Option<Fetch> {
        if !self.wants_reading() || self.ready_at() > now {
            return None;
        }
        let rate = self
            .queue
            .rate_limit
            .as_ref()
            .map_or(u32::MAX, |rate| self.bucket.available(rate, now));
        let breaker = self.breaker.allowance(self.in_flight, now);
        self.granted = share.min(self.limit() - self.in_flight).min(rate).min(breaker);
        if self.granted == 0 {
            return None;
        }
        if let Some(place) = self.keys.take_left_out() {
            self.go_back_to(place);
        }
        let range_waits = self.has_more || self.next_due <= now;
        let heads = self.take_heads(range_waits);
        let left = self.granted - u32::try_from(heads.len()).unwrap_or(self.granted);
        let range = (left > 0 && range_waits).then(|| self.take_range(left));
        if heads.is_empty() && range.is_none() {
            self.granted = 0;
            return None;
        }
        Some(Fetch {
            queue_id: self.queue.id,
            range,
            heads,
            dead_letters_block: self.queue.dead_letters_block,
        })
    }

    /// First rows of keys to read. Keys and the rows that are read in order of due times take turns.
    fn take_heads(&mut self, range_waits: bool) -> Vec<Head> {
        if !self.keys.any_wanted() {
            return Vec::new();
        }
        let granted = self.granted as usize;
        let share = match granted {
            _ if !range_waits => granted,
            1 => {
                self.range_first = !self.range_first;
                usize::from(!self.range_first)
            }
            _ => granted / 2,
        };
        self.keys.take(share)
    }

    fn take_range(&mut self, limit: u32) -> Range {
        let known = if self.cursor < self.furthest {
            self.in_flight
        } else {
            0
        };
        // Notes that come while the rows are read start from here.
        self.next_due = Timestamp::MAX;
        self.has_more = false;
        Range {
            after: self.cursor,
            limit: limit.saturating_add(known).saturating_add(self.stride),
        }
    }

    /// The last range brought rows that wait for others of their keys and nothing else: such rows are
    /// passed in larger steps.
    pub fn stride(&mut self, only_met_keys: bool) {
        self.stride = if only_met_keys {
            (self.stride * 2 + 64).min(LONGEST_STRIDE)
        } else {
            0
        };
    }

    /// A message that took off then comes back, and nothing was sent.
    pub fn take_start_back(&mut self, since: Timestamp) {
        if let Some(rate) = &self.queue.rate_limit {
            self.bucket.give_back(rate, since);
        }
    }

    /// So many messages start now.
    pub fn start(&mut self, messages: u32, now: Timestamp) {
        if let Some(rate) = &self.queue.rate_limit {
            self.bucket.take(rate, now, messages);
        }
    }

    /// How many may be on the wire at once.
    pub fn limit(&self) -> u32 {
        self.throttle.limit(self.queue.max_in_flight)
    }

    /// What the receiver's answer, or its absence, means for the queue as a whole. The message took off at `since`, with
    /// the policy of then. `disable_after` is how long the queue may do nothing but fail.
    pub fn observe(
        &mut self,
        outcome: &Outcome,
        since: Timestamp,
        started: Timestamp,
        now: Timestamp,
        disable_after: Option<Duration>,
    ) -> Vec<Notice> {
        if outcome.status().is_some() {
            self.trust.answered(self.in_flight, now);
        }
        if since < self.judged_from {
            return Vec::new();
        }
        let learnt = self.learn(outcome, started, now);
        // What never reached the receiver says nothing of it.
        let failing = match outcome {
            Outcome::Unbuildable { .. } | Outcome::NoSecret { .. } | Outcome::Fault { .. } => None,
            Outcome::Accepted { .. } => self.failing.count(true, disable_after, now),
            _ => self.failing.count(false, disable_after, now),
        };
        learnt.into_iter().chain(failing.map(Notice::Failing)).collect()
    }

    fn learn(&mut self, outcome: &Outcome, started: Timestamp, now: Timestamp) -> Option<Notice> {
        if let Some(status) = outcome.status() {
            let accepted = matches!(outcome, Outcome::Accepted { .. });
            self.throttle.answered(status, accepted, self.queue.max_in_flight);
        }
        match outcome {
            Outcome::Refused { status: 410, .. } => return Some(Notice::Gone),
            Outcome::Refused {
                status: 429 | 503,
                retry_after: Some(delay),
            } => {
                self.held_until = self.held_until.max(now.after(*delay));
            }
            Outcome::Unbuildable { .. } | Outcome::NoSecret { .. } | Outcome::Fault { .. } => return None,
            _ => {}
        }
        let policy = self.queue.breaker.as_ref()?;
        let success = matches!(outcome, Outcome::Accepted { .. });
        let change = self.breaker.count(policy, success, started, now)?;
        if change == Change::Recovered {
            self.throttle = Throttle::slow_start();
        }
        Some(Notice::Breaker(change))
    }

    /// Rows were read; `all` says whether these were all that is due.
    pub fn read(&mut self, all: bool, next_due: Option<Timestamp>) {
        self.has_more = !all;
        let next_due = if all {
            next_due.unwrap_or(Timestamp::MAX)
        } else {
            self.cursor.due_at
        };
        self.next_due = self.next_due.min(next_due);
    }
}
