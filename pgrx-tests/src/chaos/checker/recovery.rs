//! How soon deliveries go on once a fault is over.

use super::{Evidence, Offence, Verdict};

/// The bar: the first send comes within 10 s of recovery.
const BAR_MS: f64 = 10_000.0;
/// A message that kills the worker is sent once, and then three times by workers that are careful.
const MOST_KILLS: usize = 4;

pub fn check(evidence: &Evidence, verdict: &mut Verdict) {
    for disturbance in &evidence.disturbances {
        let name = disturbance.name;
        match disturbance.first_send_ms {
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
        let took = disturbance.first_send_ms.unwrap_or(f64::INFINITY);
        let figures = &mut verdict.figures;
        figures.slowest_first_send_ms = figures.slowest_first_send_ms.max(took);
        if disturbance.kills > MOST_KILLS {
            let kills = disturbance.kills;
            verdict.add(
                Offence::KillsOnAndOn,
                format_args!("one message killed the worker {kills} times"),
            );
        }
    }
}
