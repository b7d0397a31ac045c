//! What was sent again after an answer that accepted it: only what a crash caught on the wire.

use std::collections::HashMap;

use super::{Evidence, Offence, Verdict};
use crate::chaos::disturbance::Disturbance;
use crate::chaos::reception::{Arrival, Reply, TIMEOUT};

pub fn check(evidence: &Evidence, verdict: &mut Verdict) {
    let mut again_after = vec![0; evidence.disturbances.len()];
    let mut accepted: HashMap<(i64, &str), &Arrival> = HashMap::new();
    for arrival in &evidence.arrivals {
        let message = (arrival.message_id, arrival.path);
        if let Some(before) = accepted.get(&message) {
            match excuse(evidence, before, arrival) {
                Some(Excuse::Crash(place)) => again_after[place] += 1,
                Some(Excuse::Unheard) => verdict.figures.unheard += 1,
                None => tell(evidence, before, arrival, verdict),
            }
        }
        if arrival.reply == Reply::Accepted && arrival.answered_us.is_some() {
            accepted.insert(message, arrival);
        }
    }
    for (disturbance, again) in evidence.disturbances.iter().zip(&again_after) {
        let figures = &mut verdict.figures;
        figures.sent_again += again;
        figures.most_sent_again = figures.most_sent_again.max(*again);
        let name = disturbance.name;
        if *again > evidence.max_in_flight {
            verdict.add(
                Offence::TooManyAgain,
                format_args!("{again} were sent again after {name}"),
            );
        }
    }
}

enum Excuse {
    Crash(usize),
    Unheard,
}

/// A crash between the answer and the next arrival; or the worker says that it gave up before the answer
/// was read, and stood still at that time.
fn excuse(evidence: &Evidence, accepted: &Arrival, next: &Arrival) -> Option<Excuse> {
    let answered_us = accepted.answered_us?;
    let between = |fault: &Disturbance| fault.begun_us <= next.at_us && accepted.at_us <= fault.ended_us;
    let crash = |fault: &Disturbance| fault.leader_changed && between(fault);
    if let Some(place) = evidence.disturbances.iter().position(crash) {
        return Some(Excuse::Crash(place));
    }
    let timeout_us = i64::try_from(TIMEOUT.as_micros()).unwrap_or(i64::MAX);
    let class = evidence
        .tables
        .failures
        .get(&(accepted.message_id, accepted.attempt));
    let stalled = evidence
        .disturbances
        .iter()
        .any(|fault| fault.stalls && between(fault));
    let slow = answered_us - accepted.at_us > timeout_us / 2;
    (class.is_some() && (stalled || slow)).then_some(Excuse::Unheard)
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
