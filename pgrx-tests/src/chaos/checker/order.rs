//! Strict order within an ordering key: none begins before all earlier ones are done with.

use std::collections::HashMap;

use super::{Arrivals, Evidence, Offence, Verdict};
use crate::chaos::identity::Identity;

pub fn check(evidence: &Evidence, arrivals: &Arrivals<'_>, verdict: &mut Verdict) {
    for (key, messages) in by_key(evidence) {
        verdict.figures.keys += 1;
        let mut latest: Option<(usize, Identity)> = None;
        for identity in messages {
            let Some((first, last)) = arrivals.bounds(identity, evidence) else {
                continue;
            };
            if let Some((before, earlier)) = latest
                && first < before
            {
                verdict.add(
                    Offence::OutOfOrder,
                    format_args!("{identity} of key {key:?} was sent before {earlier} was done with"),
                );
            }
            if latest.is_none_or(|(before, _)| last > before) {
                latest = Some((last, identity));
            }
        }
    }
}

/// What committed of each key, in the order in which its session stored it.
fn by_key(evidence: &Evidence) -> HashMap<&str, Vec<Identity>> {
    let mut keys: HashMap<&str, Vec<Identity>> = HashMap::new();
    for intent in evidence.notes.entries.iter().flat_map(|entry| &entry.intents) {
        if let Some(key) = &intent.key
            && evidence.tables.sent.contains_key(&intent.identity)
        {
            keys.entry(key).or_default().push(intent.identity);
        }
    }
    keys
}
