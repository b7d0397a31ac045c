//! Reads what writers, receiver and nemesis noted and what the tables hold, and says what is wrong with it.
//!
//! Pure: it connects to nothing, and the same evidence gives the same verdict.

mod caught;
mod coverage;
mod expiry;
mod messages;
mod order;
mod recovery;
mod repeats;
#[cfg(test)]
mod tests;
mod ticks;
mod verdict;

use std::collections::HashMap;

use super::disturbance::Disturbance;
use super::evidence::Tables;
use super::identity::Identity;
use super::journal::Notes;
use super::reception::Arrival;
use super::standstill::Standstill;
use crate::clock::Shifts;
pub use verdict::{Figures, Finding, Offence, Verdict};

/// So long after a way is there again packets may come that were sent before: they are sent anew in growing intervals.
const KEPT_US: i64 = 15_000_000;

/// The clocks of server and receiver are the same, but are not read at the same moment.
const EARLY_US: i64 = 2_000;
/// An attempt begins at most so long before it arrives.
const ON_THE_WAY_US: i64 = 10_000_000;

/// Everything that is known of a run.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub notes: Notes,
    pub arrivals: Vec<Arrival>,
    pub tables: Tables,
    pub disturbances: Vec<Disturbance>,
    /// How far the server's clock was off.
    pub clock: Shifts,
    pub standstills: Vec<Standstill>,
    /// Most messages that may have been on the wire at a crash.
    pub max_in_flight: usize,
    /// How many messages writers were to store.
    pub planned: usize,
    /// When schedules were ended.
    pub ticks_until_us: i64,
}

/// Arrivals by message, as places in the log of the receiver. Copies of dead letters are apart.
struct Arrivals<'a> {
    all: &'a [Arrival],
    of: HashMap<Identity, Vec<usize>>,
    copies: HashMap<Identity, Vec<usize>>,
}

impl<'a> Arrivals<'a> {
    fn new(all: &'a [Arrival]) -> Self {
        let mut arrivals = Arrivals {
            all,
            of: HashMap::new(),
            copies: HashMap::new(),
        };
        for (place, arrival) in all.iter().enumerate() {
            let Some(identity) = arrival.identity else {
                continue;
            };
            let apart = if arrival.path == "/graveyard" {
                &mut arrivals.copies
            } else {
                &mut arrivals.of
            };
            apart.entry(identity).or_default().push(place);
        }
        arrivals
    }

    /// The places of the first and the last that did not come late.
    fn bounds(&self, identity: Identity, evidence: &Evidence) -> Option<(usize, usize)> {
        let places = self.of.get(&identity)?;
        let mut in_time = places
            .iter()
            .filter(|place| !came_late(evidence, &self.all[**place]));
        let first = *in_time.next()?;
        Some((first, in_time.next_back().copied().unwrap_or(first)))
    }

    fn of(&self, identity: Identity) -> impl Iterator<Item = &'a Arrival> {
        let places = self.of.get(&identity).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.all[*place])
    }

    fn copies(&self, identity: Identity) -> impl Iterator<Item = &'a Arrival> {
        let places = self.copies.get(&identity).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.all[*place])
    }
}

/// Whether this is a request of which the worker knew that it failed, and that the way there had kept for long: when
/// it was sent is not known, and that it was answered nobody heard.
fn came_late(evidence: &Evidence, arrival: &Arrival) -> bool {
    let attempt = (arrival.message_id, arrival.attempt);
    let kept = |fault: &Disturbance| {
        let until_us = fault.lifted_us + KEPT_US;
        // The way may have been cut before the answer was there.
        let over_us = arrival.answered_us.unwrap_or(arrival.at_us);
        fault.delays && fault.begun_us <= over_us && arrival.at_us <= until_us
    };
    evidence.tables.failures.contains_key(&attempt) && evidence.disturbances.iter().any(kept)
}

/// What is wrong, if anything.
pub fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let arrivals = Arrivals::new(&evidence.arrivals);
    messages::check(evidence, &arrivals, &mut verdict);
    repeats::check(evidence, &mut verdict);
    order::check(evidence, &arrivals, &mut verdict);
    ticks::check(evidence, &mut verdict);
    recovery::check(evidence, &mut verdict);
    coverage::check(evidence, &mut verdict);
    verdict
}
