//! Logs written by hand: each offence is found, and what is allowed is none.

mod coverage;
mod expiry;

use super::{Evidence, Offence, check};
use crate::chaos::disturbance::Disturbance;
use crate::chaos::evidence::End;
use crate::chaos::identity::Identity;
use crate::chaos::journal::{Cancel, Entry, Intent, Outcome};
use crate::chaos::reception::{Arrival, Reply};
use crate::chaos::standstill::Standstill;
use crate::chaos::workload::{Form, Kind, Queue};

const SECOND: i64 = 1_000_000;

/// A log to which one adds what happened, a second apart.
#[derive(Default)]
struct Story {
    evidence: Evidence,
    now_us: i64,
}

impl Story {
    fn new() -> Story {
        let mut story = Story::default();
        story.evidence.max_in_flight = 2;
        story
    }

    fn later(&mut self) -> i64 {
        self.now_us += SECOND;
        self.now_us
    }

    /// A transaction of one message, and what its client heard.
    fn transaction(&mut self, kind: Kind, queue: Queue, key: Option<&str>, outcome: Outcome) -> Identity {
        let number = u32::try_from(self.evidence.notes.entries.len() + 1).unwrap();
        let identity = Identity::new(1, number, 1);
        let begun_us = self.later();
        self.evidence.notes.entries.push(Entry {
            kind,
            intents: vec![Intent {
                identity,
                queue,
                sha256: [number as u8; 32],
                key: key.map(str::to_owned),
                form: Form::Text,
                delay_ms: 0,
                ttl_ms: None,
                taken_back: matches!(kind, Kind::Rollback),
            }],
            begun_us,
            outcome,
            ended_us: begun_us + 1_000,
        });
        identity
    }

    /// A message that committed.
    fn committed(&mut self, queue: Queue, key: Option<&str>) -> Identity {
        let identity = self.transaction(Kind::Commit, queue, key, Outcome::Committed);
        self.stored(identity);
        identity
    }

    /// The table has it.
    fn stored(&mut self, identity: Identity) {
        let id = id(identity);
        self.evidence.tables.sent.insert(identity, id);
    }

    fn arrival(&mut self, identity: Identity, attempt: u32, reply: Reply) -> &mut Arrival {
        let at_us = self.later();
        let queue = self.evidence.notes.entries[identity.transaction as usize - 1].intents[0].queue;
        let path = match queue {
            Queue::Keyed => "/keyed",
            Queue::Doomed => "/doomed",
            Queue::Poison => "/poison",
            _ => "/plain",
        };
        self.evidence.arrivals.push(Arrival {
            path,
            identity: Some(identity),
            webhook_id: format!("msg_x_{}", id(identity)).into(),
            message_id: id(identity),
            attempt,
            sha256: [identity.transaction as u8; 32],
            tick: None,
            at_us,
            reply,
            answered_us: Some(at_us + 1_000),
        });
        self.evidence.arrivals.last_mut().unwrap()
    }

    fn end(&mut self, identity: Identity, state: &str, attempts: u32) {
        let end = End {
            state: state.to_owned(),
            queue: "plain".to_owned(),
            attempts,
            error_class: None,
            finished_us: None,
        };
        self.evidence
            .tables
            .ends
            .entry(id(identity))
            .or_default()
            .push(end);
    }

    /// A message with all that belongs to it.
    fn delivered(&mut self, key: Option<&str>) -> Identity {
        let queue = if key.is_some() { Queue::Keyed } else { Queue::Plain };
        let identity = self.committed(queue, key);
        self.arrival(identity, 1, Reply::Accepted);
        self.end(identity, "delivered", 1);
        identity
    }

    fn crash(&mut self) {
        let begun_us = self.later();
        self.evidence.disturbances.push(Disturbance {
            name: "a crash",
            begun_us,
            lifted_us: begun_us + 10,
            ended_us: begun_us + 20,
            leader_changed: true,
            first_send_ms: Some(5.0),
            ..Disturbance::default()
        });
    }

    /// Nothing happens for so long.
    fn pass(&mut self, seconds: i64) {
        self.now_us += seconds * SECOND;
    }

    /// Has an arrival happen, and be answered, at another time.
    fn answered(&mut self, place: usize, at_us: i64) {
        let arrival = &mut self.evidence.arrivals[place];
        (arrival.at_us, arrival.answered_us) = (at_us, Some(at_us));
    }

    fn tick(&mut self, second: u32, message_id: i64) {
        let at_us = self.later();
        let identity = self.delivered(None);
        let mut arrival = self.arrival(identity, 1, Reply::Accepted).clone();
        self.evidence.arrivals.pop();
        arrival.tick = Some(format!("1970-01-01T00:00:{second:02}Z"));
        (arrival.path, arrival.identity, arrival.message_id) = ("/ticks", None, message_id);
        arrival.at_us = at_us;
        self.evidence.arrivals.push(arrival);
    }

    /// Asserts that exactly these are found.
    #[track_caller]
    fn assert(&self, offences: &[Offence]) {
        let verdict = check(&self.evidence);
        let found: Vec<Offence> = verdict.counts().into_keys().collect();
        assert_eq!(found, offences, "{verdict}");
    }
}

fn id(identity: Identity) -> i64 {
    i64::from(identity.transaction) + 1_000
}

#[test]
fn nothing_is_wrong_with_what_is_delivered_once() {
    let mut story = Story::new();
    story.delivered(None);
    story.delivered(Some("a"));
    story.transaction(Kind::Rollback, Queue::Plain, None, Outcome::RolledBack);
    story.transaction(Kind::KilledInCommit, Queue::Plain, None, Outcome::Unknown);
    story.assert(&[]);
}

#[test]
fn message_that_is_nowhere_is_lost() {
    let mut story = Story::new();
    story.committed(Queue::Plain, None);
    story.assert(&[Offence::Lost]);
}

#[test]
fn commit_that_was_acknowledged_and_is_not_there_is_lost() {
    let mut story = Story::new();
    story.transaction(Kind::Commit, Queue::Plain, None, Outcome::Committed);
    story.assert(&[Offence::Lost]);
}

#[test]
fn commit_that_did_not_wait_for_the_disk_may_go_with_a_crash_only() {
    let mut story = Story::new();
    let forgotten = story.transaction(Kind::CommitLater, Queue::Plain, None, Outcome::Committed);
    story.assert(&[Offence::Lost]);
    story.crash();
    story.assert(&[]);
    story.arrival(forgotten, 1, Reply::Accepted);
    story.assert(&[Offence::Phantom]);
}

#[test]
fn delivery_that_nobody_accepted_is_a_loss() {
    let mut story = Story::new();
    let identity = story.committed(Queue::Plain, None);
    story.arrival(identity, 1, Reply::Refused);
    story.end(identity, "delivered", 1);
    story.assert(&[Offence::Lost]);
}

#[test]
fn arrival_of_what_was_rolled_back_is_a_phantom() {
    let mut story = Story::new();
    let identity = story.transaction(Kind::Rollback, Queue::Plain, None, Outcome::RolledBack);
    story.arrival(identity, 1, Reply::Accepted);
    story.assert(&[Offence::Phantom]);
}

#[test]
fn row_of_what_was_rolled_back_is_a_phantom() {
    let mut story = Story::new();
    let identity = story.transaction(Kind::Rollback, Queue::Plain, None, Outcome::RolledBack);
    story.stored(identity);
    story.assert(&[Offence::Phantom]);
}

#[test]
fn other_bytes_another_id_and_another_path_are_alterations() {
    let changes: [fn(&mut Arrival); 4] = [
        |arrival| arrival.sha256[0] ^= 1,
        |arrival| arrival.message_id += 1,
        |arrival| arrival.path = "/keyed",
        |arrival| arrival.identity = None,
    ];
    for change in changes {
        let mut story = Story::new();
        let identity = story.committed(Queue::Plain, None);
        change(story.arrival(identity, 1, Reply::Refused));
        story.arrival(identity, 2, Reply::Accepted);
        story.end(identity, "delivered", 2);
        story.assert(&[Offence::Altered]);
    }
}

#[test]
fn retry_after_a_refusal_is_none_after_an_accepted_answer() {
    let mut story = Story::new();
    let identity = story.committed(Queue::Plain, None);
    story.end(identity, "delivered", 2);
    story.arrival(identity, 1, Reply::Refused);
    story.arrival(identity, 2, Reply::Accepted);
    story.assert(&[]);
    story.arrival(identity, 3, Reply::Accepted);
    story.assert(&[Offence::Repeated]);
}

#[test]
fn crash_excuses_as_many_repetitions_as_were_on_the_wire() {
    let mut story = Story::new();
    let all: Vec<Identity> = (0..3).map(|_| story.delivered(None)).collect();
    story.crash();
    for place in 0..3 {
        story.answered(place, story.now_us);
    }
    story.arrival(all[0], 1, Reply::Accepted);
    story.arrival(all[1], 1, Reply::Accepted);
    story.assert(&[]);
    story.arrival(all[2], 1, Reply::Accepted);
    story.assert(&[Offence::TooManyAgain]);
    // What may be on the wire is not what was.
    story.evidence.max_in_flight = 64;
    story.assert(&[]);
    story.answered(0, story.evidence.disturbances[0].begun_us - 4 * SECOND);
    story.assert(&[Offence::TooManyAgain]);
}

#[test]
fn crash_does_not_excuse_what_was_answered_long_before() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    story.pass(3_600);
    story.crash();
    story.arrival(identity, 1, Reply::Accepted);
    story.assert(&[Offence::Repeated]);
    // A lock of a minute kept the result.
    let crash_us = story.evidence.disturbances[0].begun_us;
    story.answered(0, crash_us - 60 * SECOND);
    let lock = Disturbance {
        name: "a lock",
        begun_us: crash_us - 62 * SECOND,
        lifted_us: crash_us - SECOND,
        ended_us: crash_us - SECOND,
        keeps_results: true,
        first_send_ms: Some(1.0),
        ..Disturbance::default()
    };
    story.evidence.disturbances.insert(0, lock);
    story.assert(&[]);
    story.evidence.disturbances[0].keeps_results = false;
    story.assert(&[Offence::Repeated]);
}

#[test]
fn crash_has_a_message_sent_again_once() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    story.crash();
    story.arrival(identity, 1, Reply::Accepted);
    story.evidence.disturbances[0].ended_us = story.now_us;
    story.assert(&[]);
    story.pass(3_600);
    story.arrival(identity, 1, Reply::Accepted);
    story.assert(&[Offence::Repeated]);
}

#[test]
fn retry_of_what_was_unheard_spends_nothing_of_a_crash_that_comes_then() {
    let mut story = Story::new();
    let identity = story.committed(Queue::Plain, None);
    story.end(identity, "delivered", 2);
    let unheard = story.arrival(identity, 1, Reply::Accepted).clone();
    let noted = ((unheard.message_id, 1), "timeout".to_owned());
    story.evidence.tables.failures.extend([noted]);
    story.evidence.disturbances.push(Disturbance {
        name: "a stall",
        begun_us: unheard.at_us - SECOND,
        ended_us: unheard.at_us,
        stalls: true,
        first_send_ms: Some(1.0),
        ..Disturbance::default()
    });
    story.arrival(identity, 2, Reply::Accepted);
    story.crash();
    // The fault began before the retry, and ended the leader after it.
    story.evidence.disturbances[1].begun_us = unheard.at_us + SECOND / 2;
    story.arrival(identity, 2, Reply::Accepted);
    story.assert(&[]);
    story.arrival(identity, 2, Reply::Accepted);
    story.assert(&[Offence::Repeated]);
}

#[test]
fn what_is_refused_when_it_is_sent_again_is_retried() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    story.crash();
    story.arrival(identity, 1, Reply::Refused);
    story.arrival(identity, 2, Reply::Refused);
    story.pass(3_600);
    story.arrival(identity, 3, Reply::Accepted);
    story.assert(&[]);
    story.arrival(identity, 4, Reply::Accepted);
    story.assert(&[Offence::Repeated]);
}

#[test]
fn leader_that_is_told_to_end_records_what_had_come() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    story.crash();
    story.arrival(identity, 1, Reply::Accepted);
    story.assert(&[]);
    story.evidence.disturbances[0].orderly = true;
    story.assert(&[Offence::Repeated]);
    // It was still on the wire.
    story.evidence.arrivals[0].answered_us = Some(story.evidence.disturbances[0].begun_us);
    story.assert(&[]);
}

#[test]
fn only_a_crash_takes_commits_that_are_not_synchronous() {
    let mut story = Story::new();
    story.transaction(Kind::CommitLater, Queue::Plain, None, Outcome::Committed);
    story.crash();
    story.assert(&[]);
    story.evidence.disturbances[0].orderly = true;
    story.assert(&[Offence::Lost]);
}

#[test]
fn crash_excuses_nothing_that_comes_after_it() {
    let mut story = Story::new();
    story.crash();
    let identity = story.delivered(None);
    story.arrival(identity, 1, Reply::Accepted);
    story.assert(&[Offence::Repeated]);
}

#[test]
fn later_message_of_a_key_waits_for_the_earlier_ones() {
    let mut story = Story::new();
    let first = story.committed(Queue::Keyed, Some("a"));
    let second = story.committed(Queue::Keyed, Some("a"));
    story.arrival(first, 1, Reply::Refused);
    story.arrival(second, 1, Reply::Accepted);
    story.arrival(first, 2, Reply::Accepted);
    story.end(first, "delivered", 2);
    story.end(second, "delivered", 1);
    story.assert(&[Offence::OutOfOrder]);
    for entry in &mut story.evidence.notes.entries[1..] {
        entry.intents[0].key = Some("b".to_owned());
    }
    story.assert(&[]);
}

#[test]
fn message_that_still_waits_is_stuck() {
    let mut story = Story::new();
    let identity = story.committed(Queue::Plain, None);
    story.end(identity, "waiting", 0);
    story.assert(&[Offence::Stuck]);
}

#[test]
fn two_ends_are_one_too_many() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    story.end(identity, "cancelled", 1);
    story.assert(&[Offence::EndedTwice]);
}

#[test]
fn message_dies_only_when_its_attempts_are_used_up() {
    let mut story = Story::new();
    let identity = story.committed(Queue::Plain, None);
    story.arrival(identity, 1, Reply::Refused);
    story.end(identity, "dead", 1);
    story.assert(&[Offence::EndedWrongly]);
}

#[test]
fn dead_letter_has_one_copy() {
    let mut story = Story::new();
    let identity = story.committed(Queue::Doomed, None);
    for attempt in 1..=3 {
        story.arrival(identity, attempt, Reply::Refused);
    }
    story.end(identity, "dead", 3);
    story.assert(&[Offence::Lost]);
    let copy = story.arrival(identity, 1, Reply::Accepted);
    (copy.path, copy.message_id) = ("/graveyard", 7_001);
    story.assert(&[]);
    let copy = story.arrival(identity, 1, Reply::Accepted);
    (copy.path, copy.message_id) = ("/graveyard", 7_002);
    story.assert(&[Offence::EndedTwice]);
}

#[test]
fn cancelled_message_may_arrive_once_more_and_not_twice() {
    let mut story = Story::new();
    let identity = story.transaction(Kind::Cancel, Queue::Plain, None, Outcome::Committed);
    story.stored(identity);
    story.end(identity, "cancelled", 0);
    story.evidence.notes.cancels.push(Cancel {
        identity,
        ended_us: story.now_us,
        cancelled: true,
    });
    story.arrival(identity, 1, Reply::Refused);
    story.assert(&[]);
    story.arrival(identity, 2, Reply::Refused);
    story.assert(&[Offence::NotCancelled]);
}

#[test]
fn message_is_not_sent_before_it_is_due() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    story.assert(&[]);
    story.evidence.notes.entries[identity.transaction as usize - 1].intents[0].delay_ms = 5_000;
    story.assert(&[Offence::Early]);
}

#[test]
fn request_that_the_network_kept_is_none_that_was_sent_again() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    let id = story.evidence.tables.sent[&identity];
    // The first attempt, of which the worker noted that it failed, comes after the second was accepted.
    let mut kept = story.evidence.arrivals[0].clone();
    story.evidence.arrivals[0].attempt = 2;
    kept.at_us = story.later();
    kept.answered_us = Some(kept.at_us);
    story.evidence.arrivals.push(kept.clone());
    story
        .evidence
        .tables
        .failures
        .insert((id, kept.attempt), "timeout".to_owned());
    story.assert(&[Offence::Repeated]);
    story.evidence.disturbances.push(Disturbance {
        name: "a fault",
        lifted_us: kept.at_us,
        delays: true,
        first_send_ms: Some(1.0),
        ..Disturbance::default()
    });
    story.assert(&[]);
    story.evidence.tables.failures.clear();
    story.assert(&[Offence::Repeated]);
}

#[test]
fn answer_that_came_while_the_machine_stood_still_may_be_unheard() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    let accepted = story.evidence.arrivals[0].clone();
    let again = story.arrival(identity, 2, Reply::Accepted);
    let until_us = again.at_us;
    story.evidence.standstills = vec![Standstill {
        from_us: accepted.at_us - 3 * SECOND,
        until_us: accepted.at_us,
    }];
    story.assert(&[Offence::Repeated]);
    let noted = ((accepted.message_id, accepted.attempt), "timeout".to_owned());
    story.evidence.tables.failures.extend([noted.clone()]);
    story.assert(&[]);
    // What was answered is no timeout, and what was noted of it is wrong.
    let other = (noted.0, "status".to_owned());
    story.evidence.tables.failures.extend([other]);
    story.assert(&[Offence::Repeated]);
    story.evidence.tables.failures.extend([noted]);
    story.evidence.standstills[0].from_us = until_us + 3 * SECOND;
    story.evidence.standstills[0].until_us = until_us + 4 * SECOND;
    story.assert(&[Offence::Repeated]);
}

#[test]
fn message_is_due_by_the_clock_of_the_server() {
    let mut story = Story::new();
    let identity = story.delivered(None);
    let entry = &mut story.evidence.notes.entries[identity.transaction as usize - 1];
    entry.intents[0].delay_ms = 5_000;
    let committed_us = entry.ended_us;
    story.evidence.clock.0 = vec![(0, 0), (committed_us + 1, 5 * SECOND)];
    story.assert(&[]);
    // It was put forth before, and so the message is due later by it.
    story.evidence.clock.0 = vec![(0, 5 * SECOND)];
    story.assert(&[Offence::Early]);
}

#[test]
fn seconds_that_the_clock_leapt_over_may_be_without_ticks_when_they_are_many() {
    let mut story = Story::new();
    story.tick(1, 1);
    story.tick(900, 2);
    story.evidence.ticks_until_us = 3 * SECOND;
    story.evidence.clock.0 = vec![(0, 0), (2 * SECOND, 900 * SECOND)];
    story.assert(&[Offence::TickMissing]);
    story.tick(2_000, 3);
    story.evidence.clock.0 = vec![(0, 0), (2 * SECOND, 2_000 * SECOND)];
    story.assert(&[]);
}

#[test]
fn each_second_has_one_tick() {
    let mut story = Story::new();
    story.tick(1, 1);
    story.tick(2, 2);
    story.evidence.ticks_until_us = 3 * SECOND;
    story.assert(&[]);
    story.tick(4, 4);
    story.assert(&[Offence::TickMissing]);
    story.tick(3, 3);
    story.assert(&[]);
    story.tick(3, 5);
    story.assert(&[Offence::TickTwice]);
}

#[test]
fn schedule_that_ends_by_itself_is_missed() {
    let mut story = Story::new();
    story.tick(1, 1);
    story.evidence.ticks_until_us = 60 * SECOND;
    story.assert(&[Offence::TickMissing]);
}

#[test]
fn deliveries_go_on_within_ten_seconds() {
    let mut story = Story::new();
    story.crash();
    story.assert(&[]);
    story.evidence.disturbances[0].first_send_ms = Some(10_001.0);
    story.assert(&[Offence::SlowRecovery]);
    // The machine itself stood still before that, in part before the fault was over.
    let lifted_us = story.evidence.disturbances[0].lifted_us;
    story.evidence.standstills = vec![Standstill {
        from_us: lifted_us - SECOND,
        until_us: lifted_us,
    }];
    story.assert(&[Offence::SlowRecovery]);
    story.evidence.standstills[0].until_us = lifted_us + 2_000;
    story.assert(&[]);
    story.evidence.disturbances[0].first_send_ms = None;
    story.assert(&[Offence::SlowRecovery]);
}

#[test]
fn message_that_kills_is_given_up() {
    let mut story = Story::new();
    let identity = story.transaction(Kind::Commit, Queue::Poison, None, Outcome::Committed);
    story.stored(identity);
    story.end(identity, "dead", 1);
    let end = story.evidence.tables.ends.values_mut().next().unwrap();
    end[0].error_class = Some("worker_died".to_owned());
    for _ in 0..3 {
        story.arrival(identity, 1, Reply::None);
    }
    story.assert(&[]);
    story.arrival(identity, 1, Reply::None);
    story.assert(&[Offence::KillsOnAndOn]);
    // The worker lived on, and recorded that one of these attempts had no answer.
    let attempt = (id(identity), 1);
    story
        .evidence
        .tables
        .failures
        .insert(attempt, "timeout".to_owned());
    story.assert(&[]);
    // From then on deaths are counted anew.
    for _ in 0..3 {
        story.arrival(identity, 2, Reply::None);
    }
    story.assert(&[]);
    story.arrival(identity, 2, Reply::None);
    story.assert(&[Offence::KillsOnAndOn]);
}
