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
//! Invariants: a message is in flight at most once; a queue never has more in flight than its
//! `max_in_flight`, all together never more than the slots; every row below a queue's cursor is in
//! flight, finished, or announced again by a note.

mod lane;
mod probation;
mod share;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::outcome::Outcome;
use super::queue::{Queue, QueueId};
use super::retry::{self, Resolution};
use super::time::Timestamp;
pub use lane::Cursor;
use lane::Lane;
pub use probation::MAX_DEATHS;
use probation::Probation;
use share::{BYTE_BUDGET, SMALL_BYTES, fair_share};
pub use words::{Admission, Candidate, Fetch, MessageId, Notice, Verdict};

struct Flight {
    queue_id: QueueId,
    /// Bytes it counts for.
    weight: usize,
    /// Number of the attempt within its budget, counted from 1.
    budget_attempt: u32,
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
    /// Bytes of the large messages in flight.
    bytes: usize,
    /// Messages whose results cannot be recorded: not sent again by this leader.
    parked: HashSet<MessageId>,
    /// Queues that were noted but are not loaded, and whether that was told.
    unknown: BTreeMap<QueueId, bool>,
    slots: usize,
    probation: Probation,
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
            bytes: 0,
            parked: HashSet::new(),
            unknown: BTreeMap::new(),
            slots,
            probation: Probation::new(unclean_start),
            now: unclean_start.unwrap_or(Timestamp::MIN),
        }
    }

    /// Changes the number of slots; what is in flight stays so.
    pub fn set_slots(&mut self, slots: usize) {
        self.slots = slots;
        self.ease();
    }

    /// Takes over the policy of a queue, new or changed.
    pub fn load_queue(&mut self, queue: Arc<Queue>) {
        let id = queue.id;
        match self.lanes.get_mut(&id) {
            Some(lane) => lane.follow(queue),
            None => {
                self.lanes.insert(id, Lane::new(queue));
                if self.unknown.remove(&id).is_some() {
                    self.note_due(id, Timestamp::MIN);
                }
            }
        }
        self.place(id);
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
        }
    }

    /// Forgets a queue that no longer exists.
    pub fn drop_queue(&mut self, id: QueueId) {
        self.unplace(id);
        self.lanes.remove(&id);
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

    /// Which rows to read now. Every fetch must be answered by [`Scheduler::admit`].
    ///
    /// The free slots are shared out evenly among the queues that have something due, in turns.
    pub fn plan(&mut self, now: Timestamp) -> Vec<Fetch> {
        self.now = now;
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
            let Some(fair) = fair_share(lane.in_flight as usize, free, self.slots) else {
                lane.squeezed = true;
                self.squeezed.push(id);
                continue;
            };
            let fair = u32::try_from(fair).unwrap_or(u32::MAX);
            match lane.grant(share.min(fair), now) {
                Some(fetch) => {
                    free -= lane.granted as usize;
                    fetches.push(fetch);
                }
                None => self.place(id),
            }
        }
        fetches
    }

    /// Takes in the rows that a fetch returned, and says what to do with them.
    ///
    /// `cut` says that the fetch ended before its limit although there may be more. `next_due` is when
    /// the first row after those due by now is due. Rows that are in flight are passed over.
    pub fn admit(
        &mut self,
        fetch: &Fetch,
        rows: &[Candidate],
        cut: bool,
        next_due: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Admission> {
        let Some(lane) = self.lanes.get_mut(&fetch.queue_id) else {
            return Vec::new();
        };
        let granted = std::mem::take(&mut lane.granted) as usize;
        let mut admitted = Vec::new();
        let mut considered = 0;
        for row in rows {
            let weight = if row.size > SMALL_BYTES { row.size } else { 0 };
            let left = BYTE_BUDGET.saturating_sub(self.bytes);
            let fits = weight == 0 || self.bytes == 0 || (weight <= left && lane.bytes <= left);
            if !fits && !self.in_flight.contains_key(&row.id) {
                lane.squeezed = true;
                self.squeezed.push(fetch.queue_id);
                break;
            }
            if admitted.len() == granted {
                break;
            }
            considered += 1;
            lane.cursor = Cursor {
                due_at: row.due_at,
                id: row.id,
            };
            if self.in_flight.contains_key(&row.id) || self.parked.contains(&row.id) {
                continue;
            }
            let Some(admission) = self.probation.admit(fetch.queue_id, row, now) else {
                continue;
            };
            let budget_attempt = row.attempt.saturating_sub(row.attempts_before).saturating_add(1);
            self.in_flight.insert(
                row.id,
                Flight {
                    queue_id: fetch.queue_id,
                    weight,
                    budget_attempt,
                },
            );
            lane.in_flight += 1;
            lane.bytes += weight;
            self.bytes += weight;
            admitted.push(admission);
        }
        lane.start(u32::try_from(admitted.len()).unwrap_or(u32::MAX), now);
        let all_read = !cut && considered == rows.len() && rows.len() < fetch.limit as usize;
        lane.read(all_read, next_due);
        let starved = lane.squeezed;
        self.place(fetch.queue_id);
        if admitted.len() < granted && !starved {
            self.ease();
        }
        admitted
    }

    /// Lets the queue of a message in flight learn from its outcome: rate of failures, Retry-After,
    /// overload. `started` is when the attempt began.
    pub fn observe(
        &mut self,
        id: MessageId,
        outcome: &Outcome,
        started: Timestamp,
        now: Timestamp,
    ) -> Option<(QueueId, Notice)> {
        let queue_id = self.queue_of(id)?;
        self.now = now;
        let notice = self.lanes.get_mut(&queue_id)?.observe(outcome, started, now);
        self.place(queue_id);
        notice.map(|notice| (queue_id, notice))
    }

    /// What becomes of a message in flight after this outcome. `jitter` is uniform in [-1, 1].
    #[must_use]
    pub fn verdict(&self, id: MessageId, outcome: &Outcome, now: Timestamp, jitter: f64) -> Verdict {
        // Delivered is delivered, whatever became of the queue meanwhile.
        if let Outcome::Accepted { .. } = outcome {
            return Verdict::Delivered;
        }
        let Some(flight) = self.in_flight.get(&id) else {
            return Verdict::Dead;
        };
        let Some(lane) = self.lanes.get(&flight.queue_id) else {
            return Verdict::Dead;
        };
        match retry::resolve(&lane.queue.retry, flight.budget_attempt, outcome, jitter) {
            Resolution::Delivered => Verdict::Delivered,
            Resolution::RetryIn(delay) => Verdict::RetryAt(now.after(delay)),
            Resolution::Dead => Verdict::Dead,
        }
    }

    /// A message is no longer in flight: its result is recorded, and it is due again at `due_at` if
    /// that was a retry.
    pub fn release(&mut self, id: MessageId, due_at: Option<Timestamp>) {
        let Some(flight) = self.in_flight.remove(&id) else {
            return;
        };
        let queue_id = flight.queue_id;
        self.bytes = self.bytes.saturating_sub(flight.weight);
        if let Some(lane) = self.lanes.get_mut(&queue_id) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.bytes = lane.bytes.saturating_sub(flight.weight);
            if let Some(due_at) = due_at {
                lane.note(due_at);
            }
            self.place(queue_id);
        }
        for (queue_id, due_at) in self.probation.release(id) {
            self.note_due(queue_id, due_at);
        }
        self.ease();
    }

    /// Slots or bytes were given back: queues that wait for some are considered again.
    fn ease(&mut self) {
        for queue_id in std::mem::take(&mut self.squeezed) {
            if let Some(lane) = self.lanes.get_mut(&queue_id) {
                lane.squeezed = false;
            }
            self.place(queue_id);
        }
    }

    /// Gives up the slot of a message whose result cannot be recorded, and passes it over from now on:
    /// it was answered, and only the next leader may send it again.
    pub fn park(&mut self, id: MessageId) {
        self.parked.insert(id);
        self.release(id, None);
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

    /// Messages in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
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

    /// Every queue that is loaded.
    pub fn queue_ids(&self) -> impl Iterator<Item = QueueId> + '_ {
        self.lanes.keys().copied()
    }

    /// The policy of a queue.
    #[must_use]
    pub fn queue(&self, id: QueueId) -> Option<&Arc<Queue>> {
        self.lanes.get(&id).map(|lane| &lane.queue)
    }

    /// Puts a queue where it belongs: in turn, waiting for a time, or nowhere.
    fn place(&mut self, id: QueueId) {
        self.unplace(id);
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if !lane.wants_reading() {
            return;
        }
        let ready_at = lane.ready_at();
        if lane.has_more && ready_at <= self.now {
            if !lane.in_turn {
                lane.in_turn = true;
                self.turns.push_back(id);
            }
        } else {
            let at = if lane.has_more {
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
