//! A schedule of every second: one message for each second, neither two nor none.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Offence, Verdict};

/// How far behind the last tick may be when schedules end: the worker may just have come back.
const SLACK_S: i64 = 15;
/// How far behind the ticks may be when the clock is put forth.
const BEHIND_S: i64 = 60;
/// So many of the ticks that were missed are made up for, as the schedule says.
const MADE_UP_FOR: i64 = 1_000;

pub fn check(evidence: &Evidence, verdict: &mut Verdict) {
    let mut ticks: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for arrival in &evidence.arrivals {
        let Some(tick) = &arrival.tick else { continue };
        match seconds(tick) {
            Some(second) => {
                ticks.entry(second).or_default().insert(arrival.message_id);
            }
            None => verdict.add(
                Offence::Altered,
                format_args!("a tick at {tick:?}, which is no time"),
            ),
        }
    }
    verdict.figures.ticks = ticks.len();
    for (second, ids) in ticks.iter().filter(|(_, ids)| ids.len() > 1) {
        verdict.add(
            Offence::TickTwice,
            format_args!("the tick of {second} made messages {ids:?}"),
        );
    }
    if evidence.ticks_until_us > 0 {
        check_gaps(&ticks.into_keys().collect::<Vec<_>>(), evidence, verdict);
    }
}

fn check_gaps(seconds: &[i64], evidence: &Evidence, verdict: &mut Verdict) {
    let gaps = seconds.windows(2).filter(|pair| pair[1] - pair[0] > 1);
    for pair in gaps.filter(|pair| !was_leapt_over(pair[0], pair[1], evidence)) {
        let missing = pair[1] - pair[0] - 1;
        verdict.add(
            Offence::TickMissing,
            format_args!("{missing} ticks are missing after {}", pair[0]),
        );
    }
    let (shift, _) = evidence
        .clock
        .between(evidence.ticks_until_us, evidence.ticks_until_us);
    let until = (evidence.ticks_until_us + shift) / 1_000_000;
    match seconds.last() {
        Some(last) if *last >= until - SLACK_S => {}
        last => verdict.add(
            Offence::TickMissing,
            format_args!("the last tick is {last:?}, and schedules went on until {until}"),
        ),
    }
}

/// Whether the clock was put forth over these seconds: of what it leaps over, only so many ticks are made up for.
fn was_leapt_over(after: i64, before: i64, evidence: &Evidence) -> bool {
    let mut leaps = evidence.clock.leaps();
    leaps.any(|(from, to)| {
        let (from, to) = (from / 1_000_000 - BEHIND_S, to / 1_000_000 + 1);
        to - from > MADE_UP_FOR && from <= after && before <= to
    })
}

/// Seconds since 1970 of a time such as `2026-03-09T06:30:00Z`.
fn seconds(tick: &str) -> Option<i64> {
    let (date, time) = tick.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, mark: char| -> Option<Vec<i64>> {
        text.split(mark).map(|part| part.parse().ok()).collect()
    };
    let ([year, month, day], [hour, minute, second]) = (
        numbers(date, '-')?.try_into().ok()?,
        numbers(time, ':')?.try_into().ok()?,
    );
    // Days since 1970 of the proleptic calendar: years begin in March, so that leap days come last.
    let (year, month): (i64, i64) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_of_ticks_are_read() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2024-02-29T12:00:01Z"), Some(1_709_208_001));
        assert_eq!(seconds("2026-03-09T06:30:00Z"), Some(1_773_037_800));
        for other in ["", "2026-03-09", "2026-03-09T06:30:00", "2026-03-09T06:30Z"] {
            assert_eq!(seconds(other), None, "{other}");
        }
    }
}
