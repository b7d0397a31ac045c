//! Everything: the tables, the leader and what is on the wire. Its parts are told in files of their own: what users do,
//! what the leader does, what becomes of results, and how it all ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::observed::Observed;
use super::planted::Planted;
use super::policy::Policy;
use super::store::Store;
use super::vocabulary::{Event, QUEUES, Setup};
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{Candidate, KeyHash, MessageId, Verdict};
use crate::domain::time::Timestamp;

/// 2026-01-01.
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000_000);

/// A message in flight.
pub struct Flight {
    pub queue_id: QueueId,
    pub key: Option<KeyHash>,
    /// Bytes, if they count.
    pub weight: usize,
    /// As it was read.
    pub candidate: Candidate,
    pub began: Timestamp,
    /// A request was made of it.
    pub is_sent: bool,
    /// Which of the rate limits of its queue it counts for.
    pub meter: u32,
    /// What is to be recorded, when it came.
    pub verdict: Option<Verdict>,
}

/// Everything: the tables, the leader, and what is on the wire.
pub struct World {
    pub now: Timestamp,
    /// The latest time that the leader saw.
    pub seen: Timestamp,
    pub slots: usize,
    pub store: Store,
    pub scheduler: Planted,
    /// Queues as the leader has loaded them.
    pub observed: BTreeMap<QueueId, Observed>,
    pub flights: BTreeMap<MessageId, Flight>,
    /// When the leader began, if the one before did not end in order.
    pub began_unclean: Option<Timestamp>,
    /// Messages whose results could not be recorded.
    pub parked: BTreeSet<MessageId>,
    /// Something was committed that nothing told of.
    pub untold: bool,
    /// Answers came, and nothing was given back since.
    pub answers_linger: bool,
    pub disable_after: Option<Duration>,
    /// Rows to come back to, as they were locked.
    pub postponed: Vec<(MessageId, Timestamp)>,
    /// `hooks.queue_state`: since when queues only fail, and when they last did.
    pub failing: HashMap<QueueId, (Timestamp, Timestamp)>,
    /// The same as it is, noted or not.
    pub failing_since: HashMap<QueueId, Timestamp>,
    pub policies: BTreeMap<QueueId, Policy>,
    pub ids: [QueueId; QUEUES],
    /// Turns in a row that read something and sent nothing, all at one time.
    pub idle_turns: (Timestamp, u32),
}

impl World {
    pub fn new(setup: &Setup) -> World {
        let mut world = World {
            now: BEGINNING,
            seen: BEGINNING,
            slots: usize::from(setup.slots),
            store: Store::default(),
            scheduler: Planted::new(1, None, BEGINNING),
            observed: BTreeMap::new(),
            flights: BTreeMap::new(),
            began_unclean: None,
            parked: BTreeSet::new(),
            untold: false,
            answers_linger: false,
            disable_after: setup.disable_after_s.map(|s| Duration::from_secs(u64::from(s))),
            postponed: Vec::new(),
            failing: HashMap::new(),
            failing_since: HashMap::new(),
            policies: BTreeMap::new(),
            ids: std::array::from_fn(|at| at as QueueId + 1),
            idle_turns: (BEGINNING, 0),
        };
        for (id, policy) in world.ids.into_iter().zip(&setup.queues) {
            world.store.queues.insert(id, policy.of_queue(id, true));
            world.policies.insert(id, policy.clone());
        }
        world.begin_to_lead(setup.unclean);
        world
    }

    /// Lets something happen.
    pub fn happens(&mut self, event: &Event) {
        match *event {
            Event::Send(message) => self.send(message),
            Event::SendUntold(message) => {
                let row = self.made(message);
                self.store.rows.insert(row.candidate.id, row);
                self.untold = true;
            }
            Event::Begin(message) => {
                let row = self.made(message);
                self.store.uncommitted.push(row);
            }
            Event::Commit { nth } => self.commit_late(nth),
            Event::Cancel { nth } => self.cancel(nth),
            Event::Rekey { nth, key } => self.update(nth, |row| {
                row.candidate.ordering_key = key.map(KeyHash::from);
            }),
            Event::Move { nth, queue } => {
                let to = self.ids[usize::from(queue) % QUEUES];
                self.update(nth, |row| row.queue_id = to);
            }
            Event::PutOff { nth, in_ms } => {
                let due_at = self.in_ms(in_ms);
                self.update(nth, |row| row.candidate.due_at = due_at);
            }
            Event::Extend { nth, ttl_ms } => {
                let now = self.now;
                let end = |ttl: u32| Timestamp(now.0 + i64::from(ttl) * 1000);
                self.update(nth, |row| row.candidate.expires_at = ttl_ms.map(end));
            }
            Event::Redrive { nth, queue, in_ms } => self.redrive(nth, queue, in_ms),
            Event::Purge { nth } => self.purge(nth),
            Event::Turn => self.turn(false),
            Event::TurnWithLocks => self.turn(true),
            Event::FailedRead => {
                self.load_unknown();
                self.see_time();
                for fetch in self.scheduler.plan(self.now) {
                    self.scheduler.unread(&fetch);
                }
            }
            Event::Answer {
                nth,
                answered,
                jitter,
            } => self.answer(nth, answered, f64::from(jitter) / 100.0),
            Event::Record { locked } => self.record(locked),
            Event::Park { nth } => self.park(nth),
            Event::Advance { ms } => self.now = Timestamp(self.now.0 + i64::from(ms) * 1000),
            Event::Jump { ms } => self.jump(ms),
            Event::Change { queue, ref policy } => {
                let id = self.id(queue);
                let active = self.store.queues[&id].active;
                self.policies.insert(id, policy.clone());
                self.change(policy.of_queue(id, active));
            }
            Event::Pause { queue } => self.switch(self.id(queue), false),
            Event::Resume { queue } => self.switch(self.id(queue), true),
            Event::Suspend { queue } => self.suspend(queue),
            Event::Replace { queue } => self.replace(queue),
            Event::Slots { slots } => {
                self.slots = usize::from(slots);
                self.scheduler.set_slots(self.slots);
            }
            Event::Rescan => self.rescan(),
            Event::Die => self.die(),
            Event::TakeOver => self.take_over(),
        }
    }

    pub fn id(&self, queue: u8) -> QueueId {
        self.ids[usize::from(queue) % QUEUES]
    }

    pub fn in_ms(&self, ms: i32) -> Timestamp {
        Timestamp(self.now.0 + i64::from(ms) * 1000)
    }

    fn jump(&mut self, ms: i32) {
        self.now = self.in_ms(ms);
    }

    pub fn in_flight_of(&self, queue_id: QueueId) -> usize {
        self.flights
            .values()
            .filter(|flight| flight.queue_id == queue_id)
            .count()
    }
}
