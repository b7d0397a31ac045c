//! Who is sent next. A pure state machine: no clock, no randomness, no I/O.
//!
//! It holds what the leader knows in memory: for each queue how far it was read and when more is due,
//! and which messages are in flight. Nothing is claimed in the table, because only the leader
//! delivers. A turn of the leader's loop is:
//!
//! 1. tell what happened: [`Scheduler::load_queue`], [`Scheduler::note_due`], [`Scheduler::release`];
//! 2. [`Scheduler::plan`] says which rows to read, within the free slots;
//! 3. [`Scheduler::admit`] says which of the rows read to send, and puts them in flight.
//!
//! Invariants: a message is in flight at most once, and with an ordering key no other of its key is; a
//! queue never has more in flight than its `max_in_flight`, all together never more than the slots;
//! every row below a queue's cursor is in flight, finished, announced again by a note, or comes after
//! another of its key.

mod bytes;
#[cfg(any(test, simulation))]
mod consistency;
mod flights;
mod keys;
mod lane;
mod probation;
mod share;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::failing::Failing;
use super::queue::{Queue, QueueId};
use super::time::Timestamp;
use bytes::Bytes;
pub use lane::Cursor;
use lane::{Lack, Lane};
pub use probation::MAX_DEATHS;
use probation::Probation;
use share::fair_share;
pub use words::{Admission, Answer, Candidate, Fetch, Head, KeyHash, MessageId, Notice, Range, Verdict};

/// Less is not worth a look at all queues.
pub const CLOCK_SET_BACK: Duration = Duration::from_secs(1);

struct Flight {
    queue_id: QueueId,
    /// Bytes it counts for.
    weight: usize,
    /// The meter of its queue's rate that it counts for. `None` once an attempt has ended, or if none is to be made.
    meter: Option<u32>,
    /// When it took off.
    since: Timestamp,
    /// Number of the attempt within its budget, counted from 1.
    budget_attempt: u32,
    expires_at: Option<Timestamp>,
    ordering_key: Option<KeyHash>,
    /// A key whose first row this is although it took off with another, or with none, or from another
    /// queue: somebody changed the row.
    waited_for_by: Option<(QueueId, KeyHash)>,
    /// The queue whose cursor passed it: somebody moved it there.
    moved_to: Option<QueueId>,
}

/// See the module.
pub struct Scheduler {
    lanes: HashMap<QueueId, Lane>,
    /// Queues that want to be read at a time, by that time.
    waiting: BTreeSet<(Timestamp, QueueId)>,
    /// Queues with more due rows than they were granted, in the order of their turns.
    turns: VecDeque<QueueId>,
    /// Queues that hold as many slots or bytes as are left for all; they wait for a release.
    squeezed: Vec<QueueId>,
    in_flight: HashMap<MessageId, Flight>,
    /// Grows whenever a message takes off or lands.
    flight_changes: u64,
    /// How many of these have an ordering key.
    keyed: usize,
    /// Queues that have more to send and as much in flight as they may.
    pressed: usize,
    /// Those of the large messages in flight.
    bytes: Bytes,
    /// Messages whose results cannot be recorded: not sent again by this leader.
    parked: HashSet<MessageId>,
    /// Queues that were noted but are not loaded, and whether that was told.
    unknown: BTreeMap<QueueId, bool>,
    slots: usize,
    probation: Probation,
    /// How long a queue may do nothing but fail; `None` for ever.
    disable_after: Option<Duration>,
    /// What earlier leaders noted of queues that are not loaded yet.
    recalled: HashMap<QueueId, Failing>,
    /// The latest time it was told.
    now: Timestamp,
}

impl Scheduler {
    /// A scheduler with so many slots. `unclean_start` is the time of the start if the last leader did
    /// not end in order.
    #[must_use]
    pub fn new(slots: usize, unclean_start: Option<Timestamp>) -> Scheduler {
        Scheduler {
            lanes: HashMap::new(),
            waiting: BTreeSet::new(),
            turns: VecDeque::new(),
            squeezed: Vec::new(),
            in_flight: HashMap::new(),
            flight_changes: 0,
            keyed: 0,
            pressed: 0,
            bytes: Bytes::default(),
            parked: HashSet::new(),
            unknown: BTreeMap::new(),
            slots,
            probation: Probation::new(unclean_start),
            disable_after: None,
            recalled: HashMap::new(),
            now: unclean_start.unwrap_or(Timestamp::MIN),
        }
    }

    /// Changes the number of slots; what is in flight stays so.
    pub fn set_slots(&mut self, slots: usize) {
        self.slots = slots;
        self.ease(&[Lack::Slots]);
    }

    /// How long a queue may do nothing but fail before it is to be disabled; `None` for ever.
    pub fn set_disable_after(&mut self, disable_after: Option<Duration>) {
        self.disable_after = disable_after;
    }

    /// What earlier leaders noted of queues that only fail.
    pub fn recall_failing(&mut self, failing: HashMap<QueueId, Failing>) {
        self.recalled = failing;
    }

    /// Takes over the policy of a queue, new or changed.
    pub fn load_queue(&mut self, queue: Arc<Queue>, now: Timestamp) {
        let id = queue.id;
        match self.lanes.get_mut(&id) {
            Some(lane) => lane.follow(queue, now),
            None => {
                let mut lane = Lane::new(queue);
                lane.failing = self.recalled.remove(&id).unwrap_or_default();
                self.lanes.insert(id, lane);
                if self.unknown.remove(&id).is_some() {
                    self.note_due(id, Timestamp::MIN);
                }
            }
        }
        self.place(id);
        self.give_up_claim(id);
    }

    /// Stops sending for a queue whose policy cannot be used; its messages wait.
    pub fn suspend_queue(&mut self, id: QueueId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            let queue = Queue {
                active: false,
                ..Queue::clone(&lane.queue)
            };
            lane.queue = Arc::new(queue);
            self.place(id);
            self.give_up_claim(id);
        }
    }

    /// Forgets a queue that no longer exists.
    pub fn drop_queue(&mut self, id: QueueId) {
        self.unplace(id);
        if self.lanes.remove(&id).is_some_and(|lane| lane.pressed) {
            self.pressed -= 1;
        }
        self.give_up_claim(id);
        self.unknown.remove(&id);
    }

    /// A row of this queue may be due at `at` or later, and not be read yet.
    pub fn note_due(&mut self, id: QueueId, at: Timestamp) {
        match self.lanes.get_mut(&id) {
            Some(lane) => {
                if lane.note(at) {
                    self.place(id);
                }
            }
            None => {
                self.unknown.entry(id).or_insert(false);
            }
        }
    }

    /// Queues that were noted but are not loaded, each told once.
    pub fn take_unknown(&mut self) -> Vec<QueueId> {
        let untold = self.unknown.iter_mut().filter(|(_, told)| !**told);
        untold
            .map(|(id, told)| {
                *told = true;
                *id
            })
            .collect()
    }

    /// Which rows to read now. Every fetch must be answered by [`Scheduler::admit`]
    /// or [`Scheduler::unread`].
    ///
    /// The free slots are shared out evenly among the queues that have something due, in turns.
    pub fn plan(&mut self, now: Timestamp) -> Vec<Fetch> {
        self.tell_time(now);
        while let Some(&(at, id)) = self.waiting.first()
            && at <= now
        {
            self.waiting.pop_first();
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.waits_until = None;
                if !lane.in_turn {
                    lane.in_turn = true;
                    self.turns.push_back(id);
                }
            }
        }
        let mut free = self.slots.saturating_sub(self.in_flight.len());
        let share = u32::try_from(free.div_ceil(self.turns.len().max(1))).unwrap_or(u32::MAX);
        let mut fetches = Vec::new();
        for _ in 0..self.turns.len() {
            if free == 0 {
                break;
            }
            let Some(id) = self.turns.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&id) else {
                continue;
            };
            lane.in_turn = false;
            let trusted = lane.trust.limit(free, self.slots, now);
            let Some(fair) = fair_share(lane.in_flight as usize, trusted, free, self.slots) else {
                self.squeeze(id, Lack::Slots);
                self.give_up_claim(id);
                continue;
            };
            let fair = u32::try_from(fair).unwrap_or(u32::MAX);
            match lane.grant(share.min(fair), now) {
                Some(fetch) => {
                    free -= lane.granted as usize;
                    fetches.push(fetch);
                }
                None => {
                    self.place(id);
                    self.give_up_claim(id);
                }
            }
        }
        fetches
    }

    /// When to plan again if nothing else happens; [`Timestamp::MIN`] for at once.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.in_flight.len() >= self.slots {
            return None;
        }
        if !self.turns.is_empty() {
            return Some(Timestamp::MIN);
        }
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Whether something may wait for a message in flight to be released.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.pressed > 0
            || self.keyed > 0
            || !self.squeezed.is_empty()
            || !self.turns.is_empty()
            || self.in_flight.len() >= self.slots
    }

    /// Messages in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// How many messages have taken off and landed.
    #[must_use]
    pub fn flight_changes(&self) -> u64 {
        self.flight_changes
    }

    /// The queues that have messages in flight, and how many.
    #[must_use]
    pub fn in_flight_by_queue(&self) -> HashMap<QueueId, u32> {
        let mut counts = HashMap::new();
        for flight in self.in_flight.values() {
            *counts.entry(flight.queue_id).or_default() += 1;
        }
        counts
    }

    /// Messages in flight that took off after this.
    #[must_use]
    pub fn in_flight_since(&self, since: Timestamp) -> usize {
        let flights = self.in_flight.values();
        flights.filter(|flight| flight.since > since).count()
    }

    /// The queue of a message in flight.
    #[must_use]
    pub fn queue_of(&self, id: MessageId) -> Option<QueueId> {
        self.in_flight.get(&id).map(|flight| flight.queue_id)
    }

    /// Every message in flight.
    pub fn ids_in_flight(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.in_flight.keys().copied()
    }

    /// Messages that are in flight or parked.
    pub fn ids_left_out(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.ids_in_flight().chain(self.parked.iter().copied())
    }

    /// How far a queue was read: rows up to here need no look, unless nothing told of them.
    #[must_use]
    pub fn cursor(&self, id: QueueId) -> Cursor {
        let start = Cursor::before(Timestamp::MIN);
        self.lanes.get(&id).map_or(start, |lane| lane.cursor)
    }

    /// The policy of a queue.
    #[must_use]
    pub fn queue(&self, id: QueueId) -> Option<&Arc<Queue>> {
        self.lanes.get(&id).map(|lane| &lane.queue)
    }

    /// Takes in what time it is. When somebody set the clock back, queues that wait go on waiting for as long
    /// as they would have.
    fn tell_time(&mut self, now: Timestamp) {
        let told = std::mem::replace(&mut self.now, now);
        let back_by = told.since(now);
        if back_by < CLOCK_SET_BACK {
            return;
        }
        for lane in self.lanes.values_mut() {
            lane.set_back(back_by);
        }
        for id in self.lanes.keys().copied().collect::<Vec<_>>() {
            self.place(id);
        }
    }

    /// Puts a queue where it belongs: in turn, waiting for a time, or nowhere.
    fn place(&mut self, id: QueueId) {
        self.unplace(id);
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if lane.pressed != lane.is_full_with_work() {
            lane.pressed = !lane.pressed;
            if lane.pressed {
                self.pressed += 1;
            } else {
                self.pressed -= 1;
            }
        }
        if !lane.wants_reading() {
            return;
        }
        let ready_at = lane.ready_at();
        if lane.has_work() && ready_at <= self.now {
            if !lane.in_turn {
                lane.in_turn = true;
                self.turns.push_back(id);
            }
        } else {
            let at = if lane.has_work() {
                ready_at
            } else {
                lane.next_due.max(ready_at)
            };
            lane.waits_until = Some(at);
            self.waiting.insert((at, id));
        }
    }

    /// Takes a queue out of the waiting ones. One in turn keeps its turn; it may be void by then.
    fn unplace(&mut self, id: QueueId) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && let Some(at) = lane.waits_until.take()
        {
            self.waiting.remove(&(at, id));
        }
    }
}
