//! Queues whose every attempt fails, for days: a receiver that nobody will mend.
//!
//! Svix disables an endpoint after five days of nothing but failure. A queue that is merely idle is not such
//! a one: within the time no gap between two failures may be longer than half of it.

use std::time::Duration;

use super::time::Timestamp;

/// Failures are noted from then on, so that a short trouble is not written down.
const NOTED_AFTER: Duration = Duration::from_secs(60);
/// How stale the last failure that is noted may be.
const NOTED_EVERY: Duration = Duration::from_secs(3600);
/// For queues that are never disabled.
const LONG: Duration = Duration::from_secs(5 * 86_400);

/// What is known of the failures of one queue since its last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    stretch: Option<Stretch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    since: Timestamp,
    last: Timestamp,
    /// What of `last` is written down, if anything is.
    noted: Option<Timestamp>,
}

/// What is to be done about a queue that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailingChange {
    /// Write down that nothing succeeded since then, and when it was last tried.
    Note { since: Timestamp, last: Timestamp },
    /// What was written down is over.
    Forget,
    /// It only failed for too long: the queue is to be disabled.
    GiveUp,
}

impl Failing {
    /// What an earlier leader wrote down.
    #[must_use]
    pub fn noted(since: Timestamp, last: Timestamp) -> Failing {
        let noted = Some(last);
        Failing {
            stretch: Some(Stretch { since, last, noted }),
        }
    }

    /// Counts an attempt. `limit` is how long a queue may do nothing but fail; `None` for ever.
    pub fn count(&mut self, success: bool, limit: Option<Duration>, now: Timestamp) -> Option<FailingChange> {
        if success {
            let ended = self.stretch.take()?;
            return ended.noted.map(|_| FailingChange::Forget);
        }
        let span = limit.unwrap_or(LONG);
        let stretch = self.stretch.get_or_insert(Stretch {
            since: now,
            last: now,
            noted: None,
        });
        let idle = now.since(stretch.last) > span / 2;
        if idle {
            stretch.since = now;
        }
        stretch.last = now;
        if limit.is_some() && now.since(stretch.since) >= span {
            return Some(FailingChange::GiveUp);
        }
        let due = match stretch.noted {
            None => now.since(stretch.since) >= NOTED_AFTER.min(span / 10),
            Some(noted) => idle || now.since(noted) >= NOTED_EVERY.min(span / 10),
        };
        due.then(|| {
            stretch.noted = Some(now);
            FailingChange::Note {
                since: stretch.since,
                last: now,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    const LIMIT: Option<Duration> = Some(Duration::from_secs(5 * 86_400));

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn note(since: i64, last: i64) -> Option<FailingChange> {
        Some(FailingChange::Note {
            since: at(since),
            last: at(last),
        })
    }

    /// Counts attempts, each at a time in seconds, and gives what is to be done after each.
    fn run(limit: Option<Duration>, attempts: &[(i64, bool)]) -> Vec<Option<FailingChange>> {
        let mut failing = Failing::default();
        let count = |(seconds, success): &(i64, bool)| failing.count(*success, limit, at(*seconds));
        attempts.iter().map(count).collect()
    }

    #[test]
    fn queue_is_given_up_after_nothing_but_failures_for_so_long() {
        let daily: Vec<(i64, bool)> = (0..=5).map(|day| (day * DAY, false)).collect();
        let changes = run(LIMIT, &daily);
        assert_eq!(changes[5], Some(FailingChange::GiveUp));
        assert!(
            changes[..5]
                .iter()
                .all(|change| *change != Some(FailingChange::GiveUp))
        );
        let changes = run(None, &daily);
        assert!(
            changes
                .iter()
                .all(|change| *change != Some(FailingChange::GiveUp))
        );
    }

    #[test]
    fn table_of_histories() {
        let give_up = Some(FailingChange::GiveUp);
        let forget = Some(FailingChange::Forget);
        for (says, attempts, last) in [
            ("a first failure is none yet", &[(0, false)][..], None),
            ("nor is a short trouble", &[(0, false), (59, false)], None),
            (
                "it is noted after a minute",
                &[(0, false), (60, false)],
                note(0, 60),
            ),
            (
                "and then each hour",
                &[(0, false), (60, false), (HOUR, false)],
                None,
            ),
            (
                "at most",
                &[(0, false), (60, false), (HOUR + 60, false)],
                note(0, HOUR + 60),
            ),
            (
                "a success ends it",
                &[(0, false), (60, false), (70, true)],
                forget,
            ),
            ("quietly if it was not noted", &[(0, false), (50, true)], None),
            (
                "and time begins anew",
                &[(0, false), (4 * DAY, true), (5 * DAY, false)],
                None,
            ),
            (
                "an idle queue is left alone",
                &[(0, false), (6 * DAY, false)],
                None,
            ),
            (
                "also if it failed a lot before",
                &[(0, false), (DAY, false), (2 * DAY, false), (5 * DAY, false)],
                note(5 * DAY, 5 * DAY),
            ),
            (
                "gaps of less than half do not count as idle",
                &[(0, false), (2 * DAY, false), (4 * DAY, false), (5 * DAY, false)],
                give_up,
            ),
            (
                "it is said again until it is done",
                &[
                    (0, false),
                    (2 * DAY, false),
                    (4 * DAY, false),
                    (5 * DAY, false),
                    (5 * DAY + 1, false),
                ],
                give_up,
            ),
        ] {
            assert_eq!(run(LIMIT, attempts).last(), Some(&last), "{says}");
        }
    }

    #[test]
    fn what_was_noted_goes_on_with_another_leader() {
        let mut failing = Failing::noted(at(0), at(4 * DAY));
        assert_eq!(
            failing.count(false, LIMIT, at(5 * DAY)),
            Some(FailingChange::GiveUp)
        );
        let mut failing = Failing::noted(at(0), at(DAY));
        assert_eq!(
            failing.count(false, LIMIT, at(5 * DAY)),
            note(5 * DAY, 5 * DAY),
            "it was idle for four days"
        );
        let mut failing = Failing::noted(at(0), at(DAY));
        assert_eq!(failing.count(true, LIMIT, at(DAY)), Some(FailingChange::Forget));
    }

    #[test]
    fn short_limit_is_noted_more_often() {
        let limit = Some(Duration::from_secs(100));
        let attempts = [0, 9, 10, 19, 20].map(|second| (second, false));
        let noted = [None, None, note(0, 10), None, note(0, 20)];
        assert_eq!(run(limit, &attempts), noted);
    }
}
