//! Whether the run shows anything: writers stored what was planned, in every way there is, and nobody refused it.

use std::collections::BTreeMap;

use super::{Evidence, Offence, Verdict};
use crate::chaos::journal::{Entry, Intent, Outcome, Refusal};
use crate::chaos::workload::{Form, Kind, Queue};

/// Tenths of the plan that are stored at least. Writers go on until it is fulfilled, but for what a crash took.
const TENTHS: usize = 9;
/// Who tried so often would have stored one, whatever faults there were meanwhile.
const OFTEN: usize = 20;
/// In a plan of this size every way comes up.
const LARGE: usize = 4_000;

pub fn check(evidence: &Evidence, verdict: &mut Verdict) {
    check_refusals(evidence, verdict);
    let mut ways = Ways::planned(evidence);
    let writers = |entry: &&Entry| entry.intents.iter().all(|intent| intent.identity.writer > 0);
    let mut stored = 0;
    for entry in evidence.notes.entries.iter().filter(writers) {
        for intent in &entry.intents {
            let is_there = evidence.tables.sent.contains_key(&intent.identity);
            stored += usize::from(is_there);
            ways.count(entry, intent, is_there);
        }
    }
    verdict.figures.stored = stored;
    // Some of it went with crashes, as it may.
    let kept = stored + verdict.figures.forgotten;
    if kept * 10 < evidence.planned * TENTHS {
        let planned = evidence.planned;
        verdict.add(
            Offence::TooLittle,
            format_args!("writers stored {kept} messages of {planned}"),
        );
    }
    ways.check(verdict);
    if evidence.planned >= LARGE {
        check_ends(verdict);
    }
}

fn check_ends(verdict: &mut Verdict) {
    let figures = verdict.figures;
    let ends = [
        (figures.delivered, "delivered"),
        (figures.dead, "dead"),
        (figures.expired, "expired"),
        (figures.cancelled, "cancelled"),
    ];
    for (_, end) in ends.iter().filter(|(count, _)| *count == 0) {
        verdict.add(Offence::NeverDone, format_args!("no message is {end}"));
    }
}

/// An error with which the server answered a statement while nothing was wrong.
fn check_refusals(evidence: &Evidence, verdict: &mut Verdict) {
    for refusal in &evidence.notes.refusals {
        let Refusal {
            begun_us, ended_us, ..
        } = *refusal;
        let mut faults = evidence.disturbances.iter();
        if faults.any(|fault| fault.begun_us <= ended_us && begun_us <= fault.ended_us) {
            verdict.figures.refused += 1;
        } else {
            let Refusal {
                sqlstate, message, ..
            } = refusal;
            verdict.add(
                Offence::Refused,
                format_args!("{sqlstate}: {message}, while there was no fault"),
            );
        }
    }
}

/// A way to store a message, or to take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Ended(Kind),
    Stored(Queue, Form),
}

/// How often each way was tried, and how often it went to its end.
struct Ways {
    counts: BTreeMap<Way, (usize, usize)>,
    /// However seldom it is tried, each is to be done.
    all_must: bool,
}

impl Ways {
    /// Those that come up for sure.
    fn planned(evidence: &Evidence) -> Ways {
        let mut counts = BTreeMap::new();
        let all_must = evidence.planned >= LARGE;
        if all_must {
            counts.extend(Kind::ALL.map(|kind| (Way::Ended(kind), (0, 0))));
            for queue in [Queue::Plain, Queue::Keyed, Queue::Doomed] {
                let forms = [Form::Text, Form::Bytes, Form::Row];
                counts.extend(forms.map(|form| (Way::Stored(queue, form), (0, 0))));
            }
        }
        Ways { counts, all_must }
    }

    fn count(&mut self, entry: &Entry, intent: &Intent, is_there: bool) {
        let mut add = |way: Way, worked: bool| {
            let (tried, did) = self.counts.entry(way).or_default();
            *tried += 1;
            *did += usize::from(worked);
        };
        let kind = entry.kind;
        if !intent.taken_back {
            add(Way::Ended(kind), is_there);
            add(Way::Stored(intent.queue, intent.form), is_there);
        } else if kind != Kind::Savepoint {
            add(Way::Ended(kind), entry.outcome == Outcome::RolledBack);
        }
    }

    fn check(&self, verdict: &mut Verdict) {
        for (way, (tried, did)) in &self.counts {
            if *did == 0 && (self.all_must || *tried >= OFTEN) {
                verdict.add(
                    Offence::NeverDone,
                    format_args!("{way:?} was tried {tried} times, and never done"),
                );
            }
        }
    }
}
