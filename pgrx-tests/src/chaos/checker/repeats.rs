//! What was sent again after an answer that accepted it: only what a crash caught on the wire.

use std::collections::HashMap;

use super::{Evidence, Offence, Verdict, came_late, caught};
use crate::chaos::disturbance::Disturbance;
use crate::chaos::reception::{Arrival, Reply, TIMEOUT};

pub fn check(evidence: &Evidence, verdict: &mut Verdict) {
    let mut excuses = Excuses::new(evidence);
    let mut accepted: HashMap<(i64, &str), &Arrival> = HashMap::new();
    for arrival in &evidence.arrivals {
        if came_late(evidence, arrival) {
            verdict.figures.late += 1;
            continue;
        }
        // The answer that was lost is not asked for again: of the next arrival this one says whether it may be.
        if let Some(before) = accepted.remove(&(arrival.message_id, arrival.path)) {
            match excuses.take(before, arrival) {
                Some(Excuse::End) => {}
                Some(Excuse::Unheard) => verdict.figures.unheard += 1,
                None => tell(evidence, before, arrival, verdict),
            }
        }
        if arrival.reply == Reply::Accepted && arrival.answered_us.is_some() {
            accepted.insert((arrival.message_id, arrival.path), arrival);
        }
    }
    let at_once = caught::most_at_once(evidence);
    for ((fault, again), at_once) in evidence
        .disturbances
        .iter()
        .zip(&excuses.again_after)
        .zip(at_once)
    {
        let figures = &mut verdict.figures;
        figures.sent_again += again;
        let bar = at_once.min(evidence.max_in_flight) * fault.ends();
        if *again > figures.most_sent_again {
            (figures.most_sent_again, figures.on_the_wire_then) = (*again, bar);
        }
        if *again > bar {
            let name = fault.name;
            verdict.add(
                Offence::TooManyAgain,
                format_args!("{again} were sent again after {name}, and {bar} had been on the wire"),
            );
        }
    }
}

enum Excuse {
    /// The leader ended before it recorded the answer.
    End,
    Unheard,
}

/// What the ends of leaders have excused.
struct Excuses<'a> {
    evidence: &'a Evidence,
    /// How many messages were sent again, for each fault.
    again_after: Vec<usize>,
    /// How often each was, for each fault: each end of a leader has a message sent again once.
    spent: HashMap<(usize, i64, &'a str), usize>,
}

impl<'a> Excuses<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        Excuses {
            evidence,
            again_after: vec![0; evidence.disturbances.len()],
            spent: HashMap::new(),
        }
    }

    /// Why a message may have been sent again that was accepted before.
    fn take(&mut self, accepted: &Arrival, next: &'a Arrival) -> Option<Excuse> {
        // What is lost with a leader is sent again as the same attempt; the next one comes of a failure that was recorded.
        if next.attempt > accepted.attempt && was_unheard(self.evidence, accepted, next.at_us) {
            return Some(Excuse::Unheard);
        }
        for (place, fault) in self.evidence.disturbances.iter().enumerate() {
            if fault.begun_us > next.at_us || !caught::may_be_lost(self.evidence, accepted, fault) {
                continue;
            }
            let spent = self.spent.entry((place, next.message_id, next.path)).or_default();
            if *spent < fault.ends() {
                *spent += 1;
                self.again_after[place] += 1;
                return Some(Excuse::End);
            }
        }
        None
    }
}

/// Whether the worker says that it gave up before the answer was read, and it was slow or stood still at that time,
/// or the whole machine did.
pub fn was_unheard(evidence: &Evidence, accepted: &Arrival, until_us: i64) -> bool {
    let timeout_us = i64::try_from(TIMEOUT.as_micros()).unwrap_or(i64::MAX);
    let attempt = (accepted.message_id, accepted.attempt);
    let between = |fault: &Disturbance| fault.begun_us <= until_us && accepted.at_us <= fault.ended_us;
    let mut faults = evidence.disturbances.iter();
    let stalled = faults.any(|fault| fault.stalls && between(fault));
    let slow = accepted
        .answered_us
        .is_some_and(|answered_us| answered_us - accepted.at_us > timeout_us / 2);
    // The receiver, too, may have read the request only after that.
    let began_us = accepted.at_us - timeout_us;
    let ended_us = accepted.answered_us.unwrap_or(accepted.at_us) + timeout_us;
    let mut standstills = evidence.standstills.iter();
    let frozen = standstills.any(|it| it.from_us <= ended_us && began_us <= it.until_us);
    let noted = evidence.tables.failures.get(&attempt);
    noted.is_some_and(|class| stalled || slow || frozen && class == "timeout")
}

fn tell(evidence: &Evidence, accepted: &Arrival, next: &Arrival, verdict: &mut Verdict) {
    let (id, path) = (next.message_id, next.path);
    let class = evidence.tables.failures.get(&(id, accepted.attempt));
    let heard = class.map_or("nothing", String::as_str);
    let after_ms = (next.at_us - accepted.at_us) / 1_000;
    verdict.add(
        Offence::Repeated,
        format_args!(
            "message {id} at {path} was accepted at attempt {}, and sent again {after_ms} ms later as attempt {}; \
             the worker noted {heard}",
            accepted.attempt, next.attempt
        ),
    );
}
