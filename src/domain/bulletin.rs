//! Operational events: what happened to messages, queues and schedules, told like any event, and never in a flood.

use std::collections::HashMap;
use std::time::Duration;

use super::time::Timestamp;

/// Event types that begin so are ours.
pub const RESERVED_PREFIX: &str = "hooks.";

/// Events of one kind about one queue or schedule within [`WINDOW`].
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Subjects remembered before those with nothing left to say are forgotten.
const CROWD: usize = 1000;
/// What was not told by then never is.
const OLD: Duration = Duration::from_secs(86_400);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message became a dead letter.
    Dead,
    /// The circuit breaker of a queue opened.
    Tripped,
    /// It closed again.
    Recovered,
    /// A queue was switched off.
    Disabled,
    /// Runs of a schedule were missed.
    Missed,
}

impl Kind {
    /// The type of the event.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            Kind::Dead => "hooks.message.dead",
            Kind::Tripped => "hooks.queue.tripped",
            Kind::Recovered => "hooks.queue.recovered",
            Kind::Disabled => "hooks.queue.disabled",
            Kind::Missed => "hooks.cron.missed",
        }
    }
}

/// What an event is about: a queue, or a schedule.
pub type Subject = i64;

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Timestamp,
    told: u32,
    suppressed: u64,
}

/// Says which events are told.
#[derive(Debug, Default)]
pub struct Press {
    windows: HashMap<(Kind, Subject), Window>,
    /// Admitted in the transaction that is under way.
    pending: Vec<(Kind, Subject, u64)>,
}

impl Press {
    /// Whether to tell of it, with how many were not told of since the last. Counts until
    /// [`Press::settle`] takes it back.
    pub fn admit(&mut self, kind: Kind, subject: Subject, now: Timestamp) -> Option<u64> {
        if self.windows.len() >= CROWD {
            self.forget(now);
        }
        let window = self.windows.entry((kind, subject)).or_insert(Window {
            began: now,
            told: 0,
            suppressed: 0,
        });
        // A clock that was set back begins a window too.
        if now.since(window.began) >= WINDOW || now < window.began {
            (window.began, window.told) = (now, 0);
        }
        if window.told == MOST {
            window.suppressed += 1;
            return None;
        }
        window.told += 1;
        let suppressed = std::mem::take(&mut window.suppressed);
        self.pending.push((kind, subject, suppressed));
        Some(suppressed)
    }

    /// The transaction ended. If it was undone, so is what was admitted in it.
    pub fn settle(&mut self, committed: bool) {
        for (kind, subject, suppressed) in std::mem::take(&mut self.pending) {
            if !committed && let Some(window) = self.windows.get_mut(&(kind, subject)) {
                window.told = window.told.saturating_sub(1);
                window.suppressed += suppressed;
            }
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.windows.retain(|_, window| {
            let age = now.since(window.began);
            age < WINDOW || (window.suppressed > 0 && age < OLD)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn told(press: &mut Press, subject: Subject, count: u32, at: i64) -> Vec<u64> {
        (0..count)
            .filter_map(|_| press.admit(Kind::Dead, subject, Timestamp(at)))
            .collect()
    }

    #[test]
    fn ten_a_minute_are_told_of_each_subject_and_the_next_says_how_many_were_not() {
        let mut press = Press::default();
        assert_eq!(told(&mut press, 1, 1000, 0), [0; 10]);
        assert_eq!(told(&mut press, 2, 3, 0), [0; 3]);
        assert!(told(&mut press, 1, 5, MINUTE - 1).is_empty());
        assert_eq!(told(&mut press, 1, 3, MINUTE), [995, 0, 0]);
        assert_eq!(press.admit(Kind::Tripped, 1, Timestamp(MINUTE)), Some(0));
    }

    #[test]
    fn what_was_undone_was_not_told() {
        let mut press = Press::default();
        assert_eq!(told(&mut press, 1, 12, 0).len(), 10);
        press.settle(true);
        assert_eq!(told(&mut press, 1, 1, MINUTE), [2]);
        press.settle(false);
        assert_eq!(told(&mut press, 1, 11, MINUTE), [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut press = Press::default();
        for subject in 0..100_000 {
            press.admit(Kind::Dead, subject, Timestamp(subject * MINUTE));
            press.settle(true);
        }
        assert!(press.windows.len() <= CROWD);
    }

    #[test]
    fn every_event_is_of_a_reserved_type_of_its_own() {
        let kinds = [
            Kind::Dead,
            Kind::Tripped,
            Kind::Recovered,
            Kind::Disabled,
            Kind::Missed,
        ];
        let types: HashSet<&str> = kinds.map(Kind::event_type).into();
        assert_eq!(types.len(), kinds.len());
        assert!(types.iter().all(|name| name.starts_with(RESERVED_PREFIX)));
    }

    #[test]
    fn subject_with_something_left_to_say_is_remembered_for_a_day() {
        let crowd = |press: &mut Press, at: i64| {
            for subject in 1..2000 {
                press.admit(Kind::Missed, subject, Timestamp(at));
            }
        };
        let mut press = Press::default();
        assert_eq!(told(&mut press, 0, 12, 0).len(), 10);
        crowd(&mut press, 2 * MINUTE);
        assert_eq!(told(&mut press, 0, 1, 60 * MINUTE), [2]);
        assert_eq!(told(&mut press, 0, 12, 61 * MINUTE).len(), 10);
        crowd(&mut press, 61 * MINUTE + 24 * 60 * MINUTE);
        assert_eq!(told(&mut press, 0, 1, 61 * MINUTE + 25 * 60 * MINUTE), [0]);
    }
}
