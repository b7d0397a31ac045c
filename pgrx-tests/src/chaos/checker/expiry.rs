//! Messages that are worth sending for a while only.

use super::{Arrivals, EARLY_US, Evidence, ON_THE_WAY_US, Offence, Verdict, caught, repeats};
use crate::chaos::evidence::End;
use crate::chaos::journal::{Entry, Intent};
use crate::chaos::reception::{Arrival, Reply};

/// A failed attempt ends a message that would be retried too late: the longest time until a retry, with its jitter.
const RETRY_US: i64 = 1_200_000;

/// Whether its time was over when it ended, by the server's clock, and nobody had accepted it.
pub fn check_end(
    evidence: &Evidence,
    arrivals: &Arrivals<'_>,
    (entry, intent): (&Entry, &Intent),
    end: &End,
    verdict: &mut Verdict,
) {
    let identity = intent.identity;
    let (expires_us, _) = expires(evidence, (entry, intent), entry.ended_us);
    let retry_us = if end.attempts > 0 { RETRY_US } else { 0 };
    let finished_us = end.finished_us.unwrap_or(i64::MIN);
    if finished_us + retry_us + EARLY_US < expires_us {
        let early = (expires_us - finished_us) / 1_000;
        verdict.add(
            Offence::EndedWrongly,
            format_args!("{identity} expired {early} ms before its time"),
        );
    }
    let accepted = arrivals
        .of(identity)
        .filter(|arrival| arrival.reply == Reply::Accepted && arrival.answered_us.is_some());
    if let Some(accepted) = accepted.last() {
        let mut faults = evidence.disturbances.iter();
        let is_excused = faults.any(|fault| caught::may_be_lost(evidence, accepted, fault))
            || repeats::was_unheard(evidence, accepted, i64::MAX);
        if !is_excused {
            verdict.add(
                Offence::EndedWrongly,
                format_args!("{identity} was accepted, and is expired"),
            );
        }
    }
}

/// No attempt begins when its time is over. One that the network or a process that stood still kept may arrive then.
pub fn check_arrival(
    evidence: &Evidence,
    meant: (&Entry, &Intent),
    arrival: &Arrival,
    verdict: &mut Verdict,
) {
    if meant.1.ttl_ms.is_none() {
        return;
    }
    let begun_us = arrival.at_us - ON_THE_WAY_US;
    let (least, _) = evidence.clock.between(begun_us, arrival.at_us);
    let (_, expires_us) = expires(evidence, meant, arrival.at_us);
    let late_us = begun_us + least - expires_us;
    let mut faults = evidence.disturbances.iter();
    let stood_still =
        faults.any(|fault| fault.stalls && fault.begun_us <= arrival.at_us && begun_us <= fault.ended_us);
    if late_us > 0 && !stood_still {
        let identity = meant.1.identity;
        verdict.add(
            Offence::TooLate,
            format_args!("{identity} was sent {} ms after its time", late_us / 1_000),
        );
    }
}

/// When its time is over by the server's clock, at the earliest and at the latest, as known at a time.
fn expires(evidence: &Evidence, (entry, intent): (&Entry, &Intent), known_us: i64) -> (i64, i64) {
    let ended_us = entry.ended_us.min(known_us);
    let (least, most) = evidence.clock.between(entry.begun_us, ended_us);
    let for_us = i64::from(intent.delay_ms + intent.ttl_ms.unwrap_or(0)) * 1_000;
    let latest_us = ended_us.saturating_add(most + for_us);
    (entry.begun_us + least + for_us, latest_us)
}
