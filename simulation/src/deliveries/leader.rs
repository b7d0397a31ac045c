//! The leader, as `src/leader` is one: it moves rows and results between the tables, the receivers and the
//! scheduler, and decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::expectations::check_verdict;
use super::observed::Observed;
use super::policy::Policy;
use super::store::{End, Row, Store};
use super::vocabulary::{Answered, Event, Message, QUEUES, Setup};
use crate::domain::breaker::Change;
use crate::domain::failing::{Failing, FailingChange};
use crate::domain::outcome::{Outcome, Unreachable};
use crate::domain::queue::{Queue, QueueId};
use crate::domain::scheduler::{
    Admission, Answer, Candidate, KeyHash, MessageId, Notice, Scheduler, Verdict,
};
use crate::domain::time::Timestamp;
use crate::rule;

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
    pub scheduler: Scheduler,
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
    disable_after: Option<Duration>,
    /// Rows to come back to, as they were locked.
    postponed: Vec<(MessageId, Timestamp)>,
    /// `hooks.queue_state`: since when queues only fail, and when they last did.
    failing: HashMap<QueueId, (Timestamp, Timestamp)>,
    /// The same as it is, noted or not.
    pub failing_since: HashMap<QueueId, Timestamp>,
    policies: BTreeMap<QueueId, Policy>,
    ids: [QueueId; QUEUES],
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
            scheduler: Scheduler::new(1, None),
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

    fn id(&self, queue: u8) -> QueueId {
        self.ids[usize::from(queue) % QUEUES]
    }

    fn in_ms(&self, ms: i32) -> Timestamp {
        Timestamp(self.now.0 + i64::from(ms) * 1000)
    }

    // What users do.

    fn made(&mut self, message: Message) -> Row {
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

    fn send(&mut self, message: Message) {
        let row = self.made(message);
        self.scheduler.note_due(row.queue_id, row.candidate.due_at);
        self.store.rows.insert(row.candidate.id, row);
    }

    fn commit_late(&mut self, nth: u8) {
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

    fn cancel(&mut self, nth: u8) {
        if let Some(id) = self.store.nth_row(nth) {
            self.note_order_changed(id);
            self.store.end(id, End::Cancelled);
        }
    }

    /// As the trigger `note_order_changed` does.
    fn note_order_changed(&mut self, id: MessageId) {
        let row = &self.store.rows[&id];
        if row.candidate.ordering_key.is_some() {
            self.scheduler.note_due(row.queue_id, Timestamp::MIN);
        }
    }

    fn update(&mut self, nth: u8, change: impl FnOnce(&mut Row)) {
        let Some(id) = self.store.nth_row(nth) else { return };
        self.note_order_changed(id);
        let Some(row) = self.store.rows.get_mut(&id) else {
            return;
        };
        change(row);
        row.is_late = true;
        self.scheduler.note_due(row.queue_id, row.candidate.due_at);
    }

    fn redrive(&mut self, nth: u8, queue: Option<u8>, in_ms: i32) {
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

    fn purge(&mut self, nth: u8) {
        if let Some(id) = self.store.nth_letter(nth)
            && let Some(letter) = self.store.letters.remove(&id)
        {
            self.note_letter_gone(&letter);
            self.store.end(id, End::Purged);
        }
    }

    fn note_letter_gone(&mut self, letter: &Row) {
        if letter.candidate.ordering_key.is_some() {
            self.scheduler.note_due(letter.queue_id, Timestamp::MIN);
        }
    }

    fn change(&mut self, queue: Arc<Queue>) {
        self.store.queues.insert(queue.id, Arc::clone(&queue));
        self.load(queue);
    }

    fn switch(&mut self, id: QueueId, active: bool) {
        if self.store.queues[&id].active != active {
            self.failing.remove(&id);
            self.change(self.policies[&id].of_queue(id, active));
        }
    }

    fn suspend(&mut self, queue: u8) {
        let id = self.id(queue);
        if let Some(observed) = self.observed.get_mut(&id) {
            self.scheduler.suspend_queue(id);
            observed.follow(self.policies[&id].of_queue(id, false));
        }
    }

    /// `hooks.drop_queue(cancel_messages => true)`, and another queue in its place, of which the leader hears
    /// by the first message.
    fn replace(&mut self, queue: u8) {
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

    fn jump(&mut self, ms: i32) {
        self.now = self.in_ms(ms);
    }

    /// The leader sees what time it is, and tells the scheduler next.
    fn see_time(&mut self) {
        let back_by = self.seen.since(self.now);
        self.seen = self.now;
        if back_by > Duration::ZERO {
            for observed in self.observed.values_mut() {
                observed.clock_went_back(back_by);
            }
        }
    }

    // What the leader does.

    fn begin_to_lead(&mut self, unclean: bool) {
        self.began_unclean = unclean.then_some(self.now);
        self.seen = self.began_unclean.unwrap_or(Timestamp::MIN);
        self.scheduler = Scheduler::new(self.slots, self.began_unclean);
        self.scheduler.set_disable_after(self.disable_after);
        let failing = self
            .failing
            .iter()
            .map(|(id, (since, last))| (*id, Failing::noted(*since, *last)));
        self.scheduler.recall_failing(failing.collect());
        self.observed.clear();
        self.flights.clear();
        self.postponed.clear();
        self.parked.clear();
        self.answers_linger = false;
        self.idle_turns = (self.now, 0);
        for row in self.store.rows.values_mut() {
            // The next leader may send it again.
            row.accepted = false;
        }
        for queue in self.store.queues.values().cloned().collect::<Vec<_>>() {
            self.load(queue);
        }
        self.rescan();
    }

    fn load(&mut self, queue: Arc<Queue>) {
        self.scheduler.load_queue(Arc::clone(&queue));
        match self.observed.get_mut(&queue.id) {
            Some(observed) => {
                if queue.active && !observed.queue.active {
                    self.failing_since.remove(&queue.id);
                }
                observed.follow(queue);
            }
            None => {
                self.observed.insert(queue.id, Observed::new(queue));
            }
        }
    }

    /// As the survey does: what is due first, of each queue.
    fn rescan(&mut self) {
        for queue in self.store.queues.values().cloned().collect::<Vec<_>>() {
            let due = self
                .store
                .of_queue(queue.id)
                .map(|row| row.candidate.due_at)
                .min();
            if !self.observed.contains_key(&queue.id) {
                self.load(Arc::clone(&queue));
            }
            if let Some(due_at) = due {
                self.scheduler.note_due(queue.id, due_at);
            }
        }
        self.untold = false;
    }

    fn load_unknown(&mut self) {
        for id in self.scheduler.take_unknown() {
            if let Some(queue) = self.store.queues.get(&id).cloned() {
                self.load(queue);
            }
        }
    }

    /// Reads what is due and sends it.
    pub fn turn(&mut self, locks: bool) {
        self.load_unknown();
        self.see_time();
        let waiting = self.queues_that_must_send();
        let free = self.slots.saturating_sub(self.flights.len());
        let fetches = self.scheduler.plan(self.now);
        self.check_plan(&fetches);
        let mut admitted = 0;
        let mut dies = false;
        for fetch in &fetches {
            let (rows, next_due) = self.store.read(fetch, self.now);
            let heads = self.store.read_heads(fetch);
            let answer = Answer {
                rows: &rows,
                next_due,
                heads: &heads,
            };
            for admission in self.scheduler.admit(fetch, answer, self.now) {
                self.take_off(fetch.queue_id, admission, free);
                dies |= self.carry_out(admission, locks);
                admitted += 1;
            }
        }
        let (at, turns) = self.idle_turns;
        self.idle_turns = match admitted == 0 && !fetches.is_empty() {
            true if at == self.now => (at, turns + 1),
            idle => (self.now, u32::from(idle)),
        };
        self.check_turn(&waiting);
        if dies {
            self.die();
        }
    }

    /// Whether the worker dies of it.
    fn carry_out(&mut self, admission: Admission, locks: bool) -> bool {
        let id = admission.id();
        let (Some(flight), Some(row)) = (self.flights.get_mut(&id), self.store.rows.get_mut(&id)) else {
            return false;
        };
        match admission {
            Admission::Bury(_) => flight.verdict = Some(Verdict::Dead),
            Admission::Expire(_) => flight.verdict = Some(Verdict::Expired),
            Admission::ClaimAndSend(_) if locks => {
                self.postponed.push((id, row.candidate.due_at));
                flight.verdict = None;
                flight.is_sent = false;
                return false;
            }
            Admission::ClaimAndSend(_) => {
                row.candidate.deaths += 1;
                return row.poison;
            }
            Admission::Send(_) => return row.poison,
        }
        false
    }

    fn answer(&mut self, nth: u8, answered: Answered, jitter: f64) {
        let on_the_wire: Vec<MessageId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.is_sent && flight.verdict.is_none())
            .map(|(id, _)| *id)
            .collect();
        if on_the_wire.is_empty() {
            return;
        }
        self.see_time();
        let id = on_the_wire[usize::from(nth) % on_the_wire.len()];
        let outcome = outcome(answered);
        let flight = &self.flights[&id];
        let (queue_id, began) = (flight.queue_id, flight.began);
        let notices: Vec<Notice> = self
            .scheduler
            .observe(id, &outcome, began, self.now)
            .into_iter()
            .map(|(_, notice)| notice)
            .collect();
        let in_flight = self.in_flight_of(queue_id);
        if let Some(observed) = self.observed.get_mut(&queue_id) {
            observed.answered(&outcome, &notices, in_flight, began, self.now);
            self.answers_linger = true;
        }
        self.take_failing(queue_id, &outcome, &notices);
        let verdict = self.scheduler.verdict(id, &outcome, self.now, jitter);
        let queue = self.observed.get(&queue_id).map(|observed| &observed.queue);
        check_verdict(&self.flights[&id], queue, &outcome, verdict, self.now, jitter);
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.verdict = Some(verdict);
        }
        if let Some(row) = self.store.rows.get_mut(&id) {
            row.accepted |= verdict == Verdict::Delivered;
        }
        for notice in notices {
            self.take_notice(queue_id, notice);
        }
    }

    /// Since when the queue only fails.
    fn take_failing(&mut self, queue_id: QueueId, outcome: &Outcome, notices: &[Notice]) {
        match outcome {
            Outcome::Accepted { .. } => drop(self.failing_since.remove(&queue_id)),
            Outcome::Unbuildable { .. } | Outcome::NoSecret { .. } | Outcome::Fault { .. } => {}
            _ => drop(self.failing_since.entry(queue_id).or_insert(self.now)),
        }
        if notices.contains(&Notice::Failing(FailingChange::GiveUp)) {
            self.check_given_up(queue_id, self.disable_after);
        }
    }

    fn take_notice(&mut self, queue_id: QueueId, notice: Notice) {
        match notice {
            Notice::Gone | Notice::Breaker(Change::GaveUp) | Notice::Failing(FailingChange::GiveUp) => {
                if self.store.queues.contains_key(&queue_id) {
                    self.switch(queue_id, false);
                }
            }
            Notice::Failing(FailingChange::Note { since, last }) => {
                self.failing.insert(queue_id, (since, last));
            }
            Notice::Failing(FailingChange::Forget) => drop(self.failing.remove(&queue_id)),
            Notice::Breaker(_) => {}
        }
    }

    /// Records what came, all but one.
    pub fn record(&mut self, locked: Option<u8>) {
        for (id, due_at) in std::mem::take(&mut self.postponed) {
            self.flights.remove(&id);
            self.scheduler.release(id, Some(due_at));
        }
        let mut results: Vec<(MessageId, Verdict)> = self
            .flights
            .iter()
            .filter_map(|(id, flight)| Some((*id, flight.verdict?)))
            .collect();
        if let Some(nth) = locked
            && !results.is_empty()
        {
            results.remove(usize::from(nth) % results.len());
        }
        for (id, verdict) in results {
            let Some(flight) = self.flights.remove(&id) else {
                continue;
            };
            let due_at = self.store_result(id, &flight, verdict);
            self.scheduler.release(id, due_at);
            self.answers_linger = false;
        }
    }

    /// As the statements of `record` do; they ask for the message with the attempts it had when it was read.
    fn store_result(&mut self, id: MessageId, flight: &Flight, verdict: Verdict) -> Option<Timestamp> {
        let row = self.store.rows.get_mut(&id)?;
        if row.candidate.attempt != flight.candidate.attempt {
            return None;
        }
        let attempts = u32::from(flight.is_sent);
        match verdict {
            Verdict::Delivered => self.store.end(id, End::Delivered),
            Verdict::Expired => {
                let buries = self
                    .observed
                    .get(&flight.queue_id)
                    .is_some_and(|seen| seen.queue.bury_expired);
                if flight.is_sent || !buries {
                    self.store.end(id, End::Expired);
                } else {
                    self.bury(id, attempts);
                }
            }
            Verdict::Dead => self.bury(id, attempts),
            Verdict::RetryAt(due_at) => {
                row.candidate.attempt += 1;
                row.candidate.due_at = due_at;
                row.candidate.deaths = 0;
                return Some(due_at);
            }
        }
        None
    }

    fn bury(&mut self, id: MessageId, attempts: u32) {
        if let Some(mut row) = self.store.rows.remove(&id) {
            row.candidate.attempt += attempts;
            self.store.letters.insert(id, row);
        }
    }

    fn park(&mut self, nth: u8) {
        let judged: Vec<MessageId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.verdict.is_some())
            .map(|(id, _)| *id)
            .collect();
        if judged.is_empty() {
            return;
        }
        let id = judged[usize::from(nth) % judged.len()];
        self.flights.remove(&id);
        self.parked.insert(id);
        self.scheduler.park(id);
    }

    /// The worker dies with everything that it had in memory.
    fn die(&mut self) {
        self.begin_to_lead(true);
    }

    /// An orderly end: what came is recorded, what is on the wire is given up, and its claims are taken back.
    pub fn take_over(&mut self) {
        self.record(None);
        for id in self.flights.keys() {
            if let Some(row) = self.store.rows.get_mut(id) {
                row.candidate.deaths = 0;
            }
        }
        self.begin_to_lead(false);
    }

    // How it comes to an end.

    /// Receivers answer and queues run: every message ends, and then there is nothing to wake for. Returns how
    /// many turns that took.
    pub fn finish(&mut self) -> u64 {
        for id in self.ids {
            self.switch(id, true);
            self.change(self.policies[&id].of_queue(id, true));
        }
        while !self.store.uncommitted.is_empty() {
            self.commit_late(0);
        }
        if !self.parked.is_empty() {
            self.take_over();
        }
        self.rescan();
        let most = 400 + 60 * self.store.rows.len() as u64;
        let mut turns = 0;
        while !self.store.rows.is_empty() || !self.flights.is_empty() {
            turns += 1;
            rule!(
                turns < most,
                "every message ends",
                "{} are left",
                self.store.rows.len()
            );
            while !self.store.letters.is_empty() {
                self.purge(0);
            }
            self.turn(false);
            self.check();
            if self.flights.is_empty() && !self.store.rows.is_empty() {
                let wake = self.scheduler.next_wake();
                rule!(wake.is_some(), "while rows are left, there is a next wake");
                self.now = self.now.max(wake.unwrap_or(self.now));
            }
            while self
                .flights
                .values()
                .any(|flight| flight.is_sent && flight.verdict.is_none())
            {
                self.answer(0, Answered::Accepted, 0.0);
            }
            self.record(None);
            self.check();
        }
        self.rest();
        turns
    }

    /// Nothing is left: the leader finds that out and sleeps for good.
    fn rest(&mut self) {
        for _ in 0..100 {
            match self.scheduler.next_wake() {
                None => return,
                Some(at) => self.now = self.now.max(at),
            }
            self.turn(false);
        }
        rule!(false, "a leader with nothing to send sleeps");
    }

    pub fn in_flight_of(&self, queue_id: QueueId) -> usize {
        self.flights
            .values()
            .filter(|flight| flight.queue_id == queue_id)
            .count()
    }
}

fn outcome(answered: Answered) -> Outcome {
    let detail = String::new();
    match answered {
        Answered::Accepted => Outcome::Accepted { status: 200 },
        Answered::Refused {
            status,
            retry_after_s,
        } => Outcome::Refused {
            status,
            retry_after: retry_after_s.map(|s| Duration::from_secs(u64::from(s))),
        },
        Answered::Unreachable => Outcome::Unreachable {
            cause: Unreachable::Connect,
            detail,
        },
        Answered::TimedOut => Outcome::TimedOut {
            after: Duration::from_secs(15),
        },
        Answered::Lost => Outcome::ConnectionLost { detail },
        Answered::Unauthenticated => Outcome::Unauthenticated { detail },
        Answered::Unbuildable => Outcome::Unbuildable { detail },
        Answered::NoSecret => Outcome::NoSecret { detail },
        Answered::Fault => Outcome::Fault { detail },
    }
}
