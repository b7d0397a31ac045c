//! How soon deliveries go on once a fault is over.

use std::collections::{HashMap, HashSet};

use super::{Evidence, Offence, Verdict};
use crate::chaos::disturbance::Disturbance;

/// The bar: the first send comes within 10 s of recovery.
const BAR_MS: f64 = 10_000.0;
/// A message that the worker died of so often is given up. One that is on the wire with nothing recorded of it when
/// the worker dies has a part in that.
const MOST_DEATHS: usize = 3;

pub fn check(evidence: &Evidence, verdict: &mut Verdict) {
    for disturbance in &evidence.disturbances {
        let name = disturbance.name;
        let took = disturbance
            .first_send_ms
            .map(|took| took - stood_still_ms(evidence, disturbance, took));
        match took {
            Some(took) if took <= BAR_MS => {}
            Some(took) => verdict.add(
                Offence::SlowRecovery,
                format_args!("the first send came {took:.0} ms after {name}"),
            ),
            None => verdict.add(
                Offence::SlowRecovery,
                format_args!("nothing was sent after {name}"),
            ),
        }
        let took = took.unwrap_or(f64::INFINITY);
        let figures = &mut verdict.figures;
        figures.slowest_first_send_ms = figures.slowest_first_send_ms.max(took);
    }
    for ((id, _), deaths) in deaths(evidence) {
        verdict.figures.most_deaths = verdict.figures.most_deaths.max(deaths);
        if deaths > MOST_DEATHS {
            verdict.add(
                Offence::KillsOnAndOn,
                format_args!("the worker died {deaths} times while it sent message {id}"),
            );
        }
    }
}

/// Of the time until the first send, how long the machine itself stood still.
fn stood_still_ms(evidence: &Evidence, disturbance: &Disturbance, took_ms: f64) -> f64 {
    let from_us = disturbance.lifted_us;
    let until_us = from_us + (took_ms * 1_000.0) as i64;
    let standstills = evidence.standstills.iter();
    let stood = standstills.map(|it| it.until_us.min(until_us) - it.from_us.max(from_us));
    stood.filter(|stood| *stood > 0).sum::<i64>() as f64 / 1_000.0
}

/// How often a message that kills the worker arrived, and nothing was recorded of that; by its attempts, as what is
/// recorded of one proves that the worker lived, and deaths are counted anew.
fn deaths(evidence: &Evidence) -> HashMap<(i64, u32), usize> {
    let mut deaths: HashMap<(i64, u32), usize> = HashMap::new();
    let mut recorded = HashSet::new();
    for arrival in evidence
        .arrivals
        .iter()
        .filter(|arrival| arrival.path == "/poison")
    {
        let attempt = (arrival.message_id, arrival.attempt);
        // One attempt may be made several times, and the last time be recorded.
        let is_recorded = evidence.tables.failures.contains_key(&attempt) && recorded.insert(attempt);
        *deaths.entry(attempt).or_default() += usize::from(!is_recorded);
    }
    deaths
}
