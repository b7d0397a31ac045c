//! Reads what writers, receiver and nemesis noted and what the tables hold, and says what is wrong with it.
//!
//! Pure: it connects to nothing, and the same evidence gives the same verdict.

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
pub use verdict::{Figures, Finding, Offence, Verdict};

/// Everything that is known of a run.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub notes: Notes,
    pub arrivals: Vec<Arrival>,
    pub tables: Tables,
    pub disturbances: Vec<Disturbance>,
    /// Most messages that may have been on the wire at a crash.
    pub max_in_flight: usize,
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

    fn of(&self, identity: Identity) -> impl Iterator<Item = &'a Arrival> {
        let places = self.of.get(&identity).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.all[*place])
    }

    fn copies(&self, identity: Identity) -> impl Iterator<Item = &'a Arrival> {
        let places = self.copies.get(&identity).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.all[*place])
    }
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
    verdict
}
