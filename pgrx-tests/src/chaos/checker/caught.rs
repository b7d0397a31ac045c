//! What the end of a leader may have caught: messages on the wire, and answers that were not recorded yet.

use std::collections::HashMap;

use super::Evidence;
use crate::chaos::disturbance::Disturbance;
use crate::chaos::reception::{Arrival, TIMEOUT};

/// An answer is recorded within milliseconds: results linger for 1 ms, and rows that were locked are tried again
/// after 500 ms. The rest is for a machine that is busy.
const RECORDED_US: i64 = 2_000_000;
/// By then the busiest machine has recorded it.
const SURELY_RECORDED_US: i64 = 10_000_000;

/// Whether the result of this attempt may have been lost with the leader that ended in this fault.
///
/// One that is told to end records all that has come by then, and leaves only what is still on the wire.
pub fn may_be_lost(evidence: &Evidence, accepted: &Arrival, fault: &Disturbance) -> bool {
    let Some(answered_us) = accepted.answered_us else {
        return false;
    };
    let unrecorded_until_us = if fault.orderly {
        answered_us
    } else {
        recorded_by(evidence, answered_us, SURELY_RECORDED_US)
    };
    fault.leader_changed && fault.begun_us <= unrecorded_until_us && accepted.at_us <= fault.ended_us
}

/// For each fault, how many messages at most were on the wire or not recorded at any moment of it.
pub fn most_at_once(evidence: &Evidence) -> Vec<usize> {
    let faults = &evidence.disturbances;
    let mut spans = vec![Vec::new(); faults.len()];
    for arrival in &evidence.arrivals {
        let timeout_us = i64::try_from(TIMEOUT.as_micros()).unwrap_or(i64::MAX);
        let over_us = arrival.answered_us.unwrap_or(arrival.at_us + timeout_us);
        let until_us = recorded_by(evidence, over_us, RECORDED_US);
        let first = faults.partition_point(|fault| fault.ended_us < arrival.at_us);
        let met = faults.iter().enumerate().skip(first);
        for (place, fault) in met.take_while(|(_, fault)| fault.begun_us <= until_us) {
            let span = (arrival.at_us.max(fault.begun_us), until_us.min(fault.ended_us));
            spans[place].push((span, arrival.message_id));
        }
    }
    spans.iter().map(|spans| most_that_overlap(spans)).collect()
}

/// When a result that came then is recorded at the latest: some faults keep it until they are over.
fn recorded_by(evidence: &Evidence, answered_us: i64, within_us: i64) -> i64 {
    let faults = &evidence.disturbances;
    let first = faults.partition_point(|fault| fault.lifted_us < answered_us);
    let mut until_us = answered_us + within_us;
    for fault in &faults[first..] {
        if fault.begun_us > until_us {
            break;
        }
        if fault.keeps_results {
            until_us = until_us.max(fault.lifted_us + within_us);
        }
    }
    until_us
}

fn most_that_overlap(spans: &[((i64, i64), i64)]) -> usize {
    // What begins comes before what ends at the same time.
    let begins = spans.iter().map(|((from, _), id)| (*from, false, *id));
    let ends = spans.iter().map(|((_, until), id)| (*until, true, *id));
    let mut changes: Vec<(i64, bool, i64)> = begins.chain(ends).collect();
    changes.sort_unstable();
    let mut open: HashMap<i64, usize> = HashMap::new();
    let mut most = 0;
    for (_, is_end, id) in changes {
        let count = open.entry(id).or_default();
        if !is_end {
            *count += 1;
            most = most.max(open.len());
        } else if *count == 1 {
            open.remove(&id);
        } else {
            *count -= 1;
        }
    }
    most
}
