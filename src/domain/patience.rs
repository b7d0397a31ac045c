//! Filters of users that the worker evaluates, while all deliveries wait: how long one may take, and how often.

use std::collections::HashMap;
use std::time::Duration;

/// What one evaluation may take. Most take microseconds; a server that is busy may be late by much more.
pub const LONGEST: Duration = Duration::from_millis(200);
/// A filter that took longer is not evaluated again for this long.
pub const REST: Duration = Duration::from_secs(600);
/// So many that took longer are borne within [`WINDOW`]; then none is evaluated until it is over.
const MOST: usize = 3;
/// See [`MOST`] and [`BUDGET`].
pub const WINDOW: Duration = Duration::from_secs(10);
/// What all evaluations together may take within [`WINDOW`], however quick each of them is; then none is evaluated
/// until it is over, and the filter that took most of it rests. Twenty subscriptions take that of some thousand
/// events.
pub const BUDGET: Duration = Duration::from_secs(2);

/// A subscription, and a hash of its filter: one that was changed is another one.
pub type Filter = (i64, i64);

/// What the worker bears of filters. Times are since some moment, and never go back.
#[derive(Debug, Default)]
pub struct Patience {
    rests: HashMap<Filter, Duration>,
    /// When the last ones took longer.
    overran: Vec<Duration>,
    /// When the present window of [`BUDGET`] began, and what each has taken of it.
    window_began: Duration,
    taken: HashMap<Filter, Duration>,
    taken_by_all: Duration,
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Who took most, and so rests for [`REST`].
    pub by: Filter,
    pub taken: Duration,
}

impl Patience {
    /// Whether to evaluate this filter now.
    #[must_use]
    pub fn admits(&self, filter: Filter, now: Duration) -> bool {
        let rests = self.rests.get(&filter).is_some_and(|until| now < *until);
        let recent = self.overran.iter().filter(|at| now < **at + WINDOW).count();
        !rests && recent < MOST && (self.window_is_over(now) || self.taken_by_all < BUDGET)
    }

    fn window_is_over(&self, now: Duration) -> bool {
        now >= self.window_began + WINDOW
    }

    /// An evaluation of this filter ended after this time. Says so when that was the last one of the window.
    pub fn took(&mut self, filter: Filter, time: Duration, now: Duration) -> Option<Spent> {
        if self.window_is_over(now) {
            self.taken.clear();
            self.taken_by_all = Duration::ZERO;
            self.window_began = now;
        }
        let is_last = self.taken_by_all < BUDGET && self.taken_by_all + time >= BUDGET;
        self.taken_by_all += time;
        *self.taken.entry(filter).or_default() += time;
        if !is_last {
            return None;
        }
        let (by, taken) = self.taken.iter().max_by_key(|(_, taken)| **taken)?;
        let spent = Spent {
            by: *by,
            taken: *taken,
        };
        self.rest(spent.by, now);
        Some(spent)
    }

    fn rest(&mut self, filter: Filter, now: Duration) {
        self.rests.retain(|_, until| now < *until);
        self.rests.insert(filter, now + REST);
    }

    /// This filter took longer than [`LONGEST`]. Returns whether that was one too many, so that none is evaluated
    /// for [`WINDOW`].
    pub fn overran(&mut self, filter: Filter, now: Duration) -> bool {
        self.rest(filter, now);
        self.overran.retain(|at| now < *at + WINDOW);
        self.overran.push(now);
        if self.overran.len() < MOST {
            return false;
        }
        // The window of them all begins with the last one.
        self.overran.fill(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn filter_that_took_too_long_rests_and_others_go_on() {
        let mut patience = Patience::default();
        assert!(patience.admits((1, 7), at(0)));
        assert!(!patience.overran((1, 7), at(0)));
        assert!(!patience.admits((1, 7), at(599)));
        assert!(patience.admits((1, 7), at(600)));
        assert!(patience.admits((1, 8), at(1)), "it was changed");
        assert!(patience.admits((2, 7), at(1)));
    }

    #[test]
    fn after_three_in_ten_seconds_none_is_evaluated_for_ten() {
        let mut patience = Patience::default();
        assert!(!patience.overran((1, 0), at(0)));
        assert!(!patience.overran((2, 0), at(9)));
        assert!(!patience.overran((3, 0), at(11)), "the first one is long ago");
        assert!(patience.overran((4, 0), at(12)));
        assert!(!patience.admits((5, 0), at(21)));
        assert!(patience.admits((5, 0), at(22)));
    }

    #[test]
    fn filters_that_are_just_quick_enough_use_up_what_all_of_them_have() {
        let (slow, quick) = ((1, 0), (2, 0));
        let mut patience = Patience::default();
        let mut spent = None;
        let mut slow_ones = 0;
        for round in 0..1_000 {
            let now = at(100) + Duration::from_millis(round);
            if patience.admits(quick, now) {
                assert_eq!(patience.took(quick, Duration::from_micros(50), now), None);
            }
            if patience.admits(slow, now) {
                slow_ones += 1;
                spent = spent.or(patience.took(slow, Duration::from_millis(190), now));
            }
        }
        assert_eq!(slow_ones, 11);
        let taken = Duration::from_millis(11 * 190);
        assert_eq!(spent, Some(Spent { by: slow, taken }));
        assert!(!patience.admits(quick, at(109)));
        assert!(patience.admits(quick, at(110)));
        assert!(!patience.admits(slow, at(110)));
        assert!(patience.admits(slow, at(701)));
        // A busy day of quick ones is none of that.
        for round in 0..20_000 {
            let now = at(200) + Duration::from_micros(round * 100);
            assert!(patience.admits(quick, now));
            assert_eq!(patience.took(quick, Duration::from_micros(50), now), None);
        }
    }

    #[test]
    fn what_is_remembered_does_not_grow_for_ever() {
        let mut patience = Patience::default();
        for second in 0..100_000 {
            if patience.admits((1, second), at(second.unsigned_abs())) {
                patience.overran((1, second), at(second.unsigned_abs()));
            }
        }
        assert!(patience.rests.len() <= 300, "{}", patience.rests.len());
        assert!(patience.overran.len() <= MOST);
    }
}
