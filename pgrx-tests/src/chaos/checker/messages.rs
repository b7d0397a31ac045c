//! Each message: lost, phantom, altered, or ended as nobody asked.

use std::collections::{BTreeSet, HashMap};

use super::{Arrivals, EARLY_US, Evidence, ON_THE_WAY_US, Offence, Verdict, expiry};
use crate::chaos::evidence::{End, shared_ids};
use crate::chaos::identity::Identity;
use crate::chaos::journal::{Entry, Intent, Outcome};
use crate::chaos::reception::{Arrival, Reply};
use crate::chaos::workload::{Kind, Queue};

/// Attempts after which a message of any queue but `doomed` may become a dead letter.
const MAX_ATTEMPTS: u32 = 100;
const MAX_DOOMED_ATTEMPTS: u32 = 3;

pub fn check(evidence: &Evidence, arrivals: &Arrivals<'_>, verdict: &mut Verdict) {
    let mut meant: HashMap<Identity, (&Entry, &Intent)> = HashMap::new();
    for entry in &evidence.notes.entries {
        verdict.figures.transactions += 1;
        for intent in &entry.intents {
            meant.insert(intent.identity, (entry, intent));
            check_fate(evidence, arrivals, entry, intent, verdict);
        }
    }
    verdict.figures.arrivals = evidence.arrivals.len();
    for arrival in &evidence.arrivals {
        check_arrival(evidence, &meant, arrival, verdict);
    }
    check_cancels(evidence, arrivals, verdict);
    for id in shared_ids(&evidence.tables.sent) {
        verdict.add(Offence::Altered, format_args!("two messages have the id {id}"));
    }
}

/// Whether it was stored as its client was told, and then ended as it should.
fn check_fate(
    evidence: &Evidence,
    arrivals: &Arrivals<'_>,
    entry: &Entry,
    intent: &Intent,
    verdict: &mut Verdict,
) {
    let identity = intent.identity;
    let figures = &mut verdict.figures;
    let stored = evidence.tables.sent.get(&identity);
    figures.unknown += usize::from(entry.outcome == Outcome::Unknown);
    figures.rolled_back += usize::from(intent.taken_back);
    match (stored, entry.outcome) {
        (Some(_), _) if intent.taken_back => {
            verdict.add(
                Offence::Phantom,
                format_args!("{identity} was taken back, and is stored"),
            );
        }
        (Some(_), Outcome::RolledBack | Outcome::Failed) => {
            verdict.add(
                Offence::Phantom,
                format_args!("{identity} was rolled back, and is stored"),
            );
        }
        (None, Outcome::Committed) if !intent.taken_back => {
            if entry.kind == Kind::CommitLater && crashed_after(evidence, entry) {
                figures.forgotten += 1;
            } else {
                verdict.add(
                    Offence::Lost,
                    format_args!("{identity} was committed, and is not stored"),
                );
            }
        }
        (Some(id), _) => {
            figures.committed += 1;
            check_end(evidence, arrivals, (entry, intent), *id, verdict);
        }
        _ => {}
    }
}

/// A commit that is not synchronous reaches the disk within a second, or when the server ends in order; later where the
/// disk is busy.
fn crashed_after(evidence: &Evidence, entry: &Entry) -> bool {
    let crashes = evidence
        .disturbances
        .iter()
        .filter(|disturbance| disturbance.is_crash());
    crashes
        .into_iter()
        .any(|crash| entry.ended_us < crash.lifted_us && entry.ended_us > crash.begun_us - 5_000_000)
}

fn check_end(
    evidence: &Evidence,
    arrivals: &Arrivals<'_>,
    (entry, intent): (&Entry, &Intent),
    id: i64,
    verdict: &mut Verdict,
) {
    let identity = intent.identity;
    let ends = evidence.tables.ends.get(&id).map_or(&[][..], Vec::as_slice);
    let [end] = ends else {
        let (offence, what) = if ends.is_empty() {
            (Offence::Lost, "is nowhere")
        } else {
            (Offence::EndedTwice, "is in several places")
        };
        let states: Vec<&str> = ends.iter().map(|end| end.state.as_str()).collect();
        verdict.add(
            offence,
            format_args!("{identity}, message {id}, {what}: {states:?}"),
        );
        return;
    };
    let figures = &mut verdict.figures;
    match end.state.as_str() {
        "waiting" => {
            let attempts = end.attempts;
            let queue = &end.queue;
            verdict.add(
                Offence::Stuck,
                format_args!("{identity}, message {id} of {queue}, waits after {attempts} attempts"),
            );
        }
        "delivered" => {
            figures.delivered += 1;
            if !arrivals
                .of(identity)
                .any(|arrival| arrival.reply == Reply::Accepted)
            {
                verdict.add(
                    Offence::Lost,
                    format_args!("{identity}, message {id}, counts as delivered, and nobody accepted it"),
                );
            }
        }
        "dead" => {
            figures.dead += 1;
            check_dead(arrivals, intent, end, verdict);
        }
        "expired" if intent.ttl_ms.is_some() => {
            figures.expired += 1;
            expiry::check_end(evidence, arrivals, (entry, intent), end, verdict);
        }
        "cancelled" if entry.kind == Kind::Cancel => figures.cancelled += 1,
        state => verdict.add(
            Offence::EndedWrongly,
            format_args!("{identity}, message {id}, is {state}"),
        ),
    }
}

fn check_dead(arrivals: &Arrivals<'_>, intent: &Intent, end: &End, verdict: &mut Verdict) {
    let identity = intent.identity;
    let killed = end.error_class.as_deref() == Some("worker_died");
    let legitimate = match intent.queue {
        Queue::Poison => killed,
        Queue::Doomed => killed || end.attempts >= MAX_DOOMED_ATTEMPTS,
        _ => killed || end.attempts >= MAX_ATTEMPTS,
    };
    if killed && intent.queue != Queue::Poison {
        verdict.figures.suspects_buried += 1;
    }
    if !legitimate {
        let attempts = end.attempts;
        verdict.add(
            Offence::EndedWrongly,
            format_args!("{identity} is dead after {attempts} attempts"),
        );
    }
    if intent.queue == Queue::Doomed {
        let ids: BTreeSet<i64> = arrivals
            .copies(identity)
            .map(|arrival| arrival.message_id)
            .collect();
        match ids.len() {
            1 => {}
            0 => verdict.add(
                Offence::Lost,
                format_args!("no copy of the dead letter {identity} arrived"),
            ),
            copies => verdict.add(
                Offence::EndedTwice,
                format_args!("{copies} copies of the dead letter {identity}"),
            ),
        }
    }
}

fn check_arrival(
    evidence: &Evidence,
    meant: &HashMap<Identity, (&Entry, &Intent)>,
    arrival: &Arrival,
    verdict: &mut Verdict,
) {
    if arrival.path == "/ticks" {
        return;
    }
    let Some((identity, (entry, intent))) = arrival
        .identity
        .and_then(|identity| Some((identity, meant.get(&identity)?)))
    else {
        let (path, id) = (arrival.path, arrival.message_id);
        verdict.add(
            Offence::Altered,
            format_args!("a body at {path}, message {id}, that nobody wrote"),
        );
        return;
    };
    let Some(id) = evidence.tables.sent.get(&identity) else {
        verdict.add(
            Offence::Phantom,
            format_args!("{identity} arrived, and was never committed ({:?})", entry.kind),
        );
        return;
    };
    if arrival.sha256 != intent.sha256 {
        verdict.add(
            Offence::Altered,
            format_args!("{identity} arrived with other bytes"),
        );
    }
    let is_copy = intent.queue == Queue::Doomed && arrival.path == "/graveyard";
    if !is_copy && arrival.path.strip_prefix('/') != Some(intent.queue.name()) {
        verdict.add(
            Offence::Altered,
            format_args!("{identity} arrived at {}", arrival.path),
        );
    }
    if !is_copy && arrival.message_id != *id {
        let other = &arrival.webhook_id;
        verdict.add(
            Offence::Altered,
            format_args!("{identity}, message {id}, arrived as {other}"),
        );
    }
    // By the server's clock, at the earliest and at the latest.
    let (least, _) = evidence
        .clock
        .between(entry.begun_us, entry.ended_us.min(arrival.at_us));
    let (_, most) = evidence
        .clock
        .between(arrival.at_us - ON_THE_WAY_US, arrival.at_us);
    let due_us = entry.begun_us + least + i64::from(intent.delay_ms) * 1_000;
    if arrival.at_us + most < due_us - EARLY_US {
        let early = due_us - arrival.at_us - most;
        verdict.add(
            Offence::Early,
            format_args!("{identity} arrived {early} us before it was due"),
        );
    }
    expiry::check_arrival(evidence, (entry, intent), arrival, verdict);
}

/// What is cancelled is not sent, but for the attempt that may be on the wire.
fn check_cancels(evidence: &Evidence, arrivals: &Arrivals<'_>, verdict: &mut Verdict) {
    for cancel in evidence.notes.cancels.iter().filter(|cancel| cancel.cancelled) {
        let identity = cancel.identity;
        let later = arrivals
            .of(identity)
            .filter(|arrival| arrival.at_us > cancel.ended_us);
        let attempts: BTreeSet<u32> = later.map(|arrival| arrival.attempt).collect();
        if attempts.len() > 1 {
            verdict.add(
                Offence::NotCancelled,
                format_args!("{identity} was cancelled, and then attempted: {attempts:?}"),
            );
        }
        let ends = evidence
            .tables
            .sent
            .get(&identity)
            .and_then(|id| evidence.tables.ends.get(id));
        if let Some([end]) = ends.map(Vec::as_slice)
            && end.state != "cancelled"
        {
            verdict.add(
                Offence::NotCancelled,
                format_args!("{identity} was cancelled, and is {}", end.state),
            );
        }
    }
}
