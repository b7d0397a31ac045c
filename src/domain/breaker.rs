//! The circuit breaker of a queue: it stops knocking at a door that nobody opens.
//!
//! Closed: messages flow and outcomes are counted over a sliding window. When enough of them failed it
//! opens: nothing is sent for a while. Then, half open, one message goes as a probe: its success
//! closes the breaker, its failure opens it again. After many failed probes the queue is to be
//! disabled. The defaults are Convoy's.

use std::time::Duration;

use super::time::Timestamp;

/// When to open, for how long, and when to give up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerPolicy {
    /// Outcomes older than this no longer count.
    pub window: Duration,
    /// Fewer outcomes in the window never open it.
    pub min_requests: u32,
    /// Share of failures, from 0 to 1, that opens it.
    pub threshold: f64,
    /// How long it stays open before the first probe. Each failed probe doubles that, up to [`LONGEST`] times it.
    pub open_for: Duration,
    /// Failed probes in a row that disable the queue.
    pub max_failed_probes: u32,
}

/// So many times as long as at first it stays open after many failed probes. By default it gives up after an hour and
/// a half: a receiver that somebody mends or replaces is not given up for.
const LONGEST: u32 = 32;

impl Default for BreakerPolicy {
    fn default() -> BreakerPolicy {
        BreakerPolicy {
            window: Duration::from_secs(300),
            min_requests: 10,
            threshold: 0.7,
            open_for: Duration::from_secs(30),
            max_failed_probes: 10,
        }
    }
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It opened: nothing is sent until the time given.
    Tripped { until: Timestamp },
    /// A probe failed, and it is open again.
    StillOpen { until: Timestamp },
    /// A probe succeeded: messages flow again.
    Recovered,
    /// Too many probes failed: the queue is to be disabled.
    GaveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Timestamp },
}

/// Parts of the window that are forgotten at once.
const PARTS: usize = 10;

const NOTHING_COUNTED: (i64, u32, u32) = (i64::MIN, 0, 0);

/// The breaker of one queue. A fresh one is closed.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    failed_probes: u32,
    /// Successes and failures, each part with the number of its time slice.
    parts: [(i64, u32, u32); PARTS],
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker::new()
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new() -> Breaker {
        Breaker {
            state: State::Closed,
            failed_probes: 0,
            parts: [NOTHING_COUNTED; PARTS],
        }
    }

    /// How many messages may start while `in_flight` are on the wire.
    #[must_use]
    pub fn allowance(&self, in_flight: u32, now: Timestamp) -> u32 {
        match self.state {
            State::Closed => u32::MAX,
            State::Open { until } if now >= until && in_flight == 0 => 1,
            State::Open { .. } => 0,
        }
    }

    /// When it lets a message through again; in the past while it is closed.
    #[must_use]
    pub fn ready_at(&self) -> Timestamp {
        match self.state {
            State::Closed => Timestamp::MIN,
            State::Open { until } => until,
        }
    }

    /// Counts an outcome of a message that started at `started`.
    pub fn count(
        &mut self,
        policy: &BreakerPolicy,
        success: bool,
        started: Timestamp,
        now: Timestamp,
    ) -> Option<Change> {
        match self.state {
            State::Closed => self.count_closed(policy, success, now),
            // What started before the probe says nothing new, unless it says that all is well.
            State::Open { until } if started < until && !success => None,
            State::Open { .. } => Some(self.end_probe(policy, success, now)),
        }
    }

    /// What failed so far is not counted any more; an open one stays open until its next probe.
    pub fn forget_failures(&mut self) {
        self.failed_probes = 0;
        self.parts = [NOTHING_COUNTED; PARTS];
    }

    /// The clock was set back: it opens no later, and what it counted is forgotten, as that lies ahead now.
    pub fn set_back(&mut self, by: Duration) {
        self.parts = [NOTHING_COUNTED; PARTS];
        if let State::Open { until } = self.state {
            self.state = State::Open {
                until: until.before(by),
            };
        }
    }

    fn count_closed(&mut self, policy: &BreakerPolicy, success: bool, now: Timestamp) -> Option<Change> {
        let part_us = i64::try_from(policy.window.as_micros()).unwrap_or(i64::MAX) / PARTS as i64;
        let slice = now.0.div_euclid(part_us.max(1));
        let index = usize::try_from(slice.rem_euclid(PARTS as i64)).unwrap_or(0);
        if self.parts[index].0 != slice {
            self.parts[index] = (slice, 0, 0);
        }
        let part = &mut self.parts[index];
        if success {
            part.1 += 1
        } else {
            part.2 += 1
        }
        let recent = self
            .parts
            .iter()
            .filter(|part| part.0 > slice.saturating_sub(PARTS as i64));
        let (successes, failures) = recent.fold((0_u32, 0_u32), |(s, f), part| {
            (s.saturating_add(part.1), f.saturating_add(part.2))
        });
        let requests = successes.saturating_add(failures);
        let failing = f64::from(failures) >= policy.threshold * f64::from(requests);
        if success || requests < policy.min_requests || !failing {
            return None;
        }
        self.failed_probes = 0;
        let until = self.open(policy, now);
        Some(Change::Tripped { until })
    }

    fn end_probe(&mut self, policy: &BreakerPolicy, success: bool, now: Timestamp) -> Change {
        if success {
            *self = Breaker::new();
            return Change::Recovered;
        }
        self.failed_probes += 1;
        let until = self.open(policy, now);
        if self.failed_probes >= policy.max_failed_probes {
            Change::GaveUp
        } else {
            Change::StillOpen { until }
        }
    }

    fn open(&mut self, policy: &BreakerPolicy, now: Timestamp) -> Timestamp {
        let times = 1_u32
            .checked_shl(self.failed_probes)
            .unwrap_or(LONGEST)
            .min(LONGEST);
        let until = now.after(policy.open_for.saturating_mul(times));
        self.state = State::Open { until };
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        window: Duration::from_secs(300),
        min_requests: 10,
        threshold: 0.7,
        open_for: Duration::from_secs(30),
        max_failed_probes: 3,
    };

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// Counts outcomes at one time; returns the last change.
    fn count(breaker: &mut Breaker, successes: u32, failures: u32, at: i64) -> Option<Change> {
        for _ in 0..successes {
            breaker.count(&POLICY, true, seconds(at), seconds(at));
        }
        (0..failures)
            .map(|_| breaker.count(&POLICY, false, seconds(at), seconds(at)))
            .last()
            .flatten()
    }

    #[test]
    fn few_failures_do_not_open_it() {
        let mut breaker = Breaker::new();
        assert_eq!(count(&mut breaker, 0, 9, 0), None);
        assert_eq!(breaker.allowance(50, seconds(0)), u32::MAX);
    }

    #[test]
    fn it_opens_at_the_threshold_and_not_below() {
        let mut breaker = Breaker::new();
        assert_eq!(count(&mut breaker, 4, 9, 0), None);
        let mut breaker = Breaker::new();
        assert_eq!(
            count(&mut breaker, 3, 7, 0),
            Some(Change::Tripped { until: seconds(30) })
        );
        assert_eq!(breaker.allowance(0, seconds(29)), 0);
        assert_eq!(breaker.ready_at(), seconds(30));
    }

    #[test]
    fn failures_older_than_the_window_are_forgotten() {
        let mut breaker = Breaker::new();
        count(&mut breaker, 0, 9, 0);
        assert_eq!(count(&mut breaker, 0, 1, 301), None);
        let mut breaker = Breaker::new();
        count(&mut breaker, 0, 9, 0);
        assert!(count(&mut breaker, 0, 1, 200).is_some());
    }

    #[test]
    fn one_probe_goes_after_the_pause_and_success_closes_it() {
        let mut breaker = Breaker::new();
        count(&mut breaker, 0, 10, 0);
        assert_eq!(breaker.allowance(0, seconds(30)), 1);
        assert_eq!(breaker.allowance(1, seconds(30)), 0);
        assert_eq!(
            breaker.count(&POLICY, true, seconds(30), seconds(31)),
            Some(Change::Recovered)
        );
        assert_eq!(breaker.allowance(9, seconds(31)), u32::MAX);
        assert_eq!(count(&mut breaker, 0, 9, 32), None, "the count began anew");
    }

    #[test]
    fn failed_probes_open_it_again_and_at_last_give_up() {
        let mut breaker = Breaker::new();
        count(&mut breaker, 0, 10, 0);
        let mut probe = |at: i64| breaker.count(&POLICY, false, seconds(at), seconds(at));
        assert_eq!(probe(30), Some(Change::StillOpen { until: seconds(90) }));
        assert_eq!(probe(90), Some(Change::StillOpen { until: seconds(210) }));
        assert_eq!(probe(210), Some(Change::GaveUp));
    }

    #[test]
    fn default_gives_up_on_a_receiver_after_an_hour_and_a_half() {
        let policy = BreakerPolicy::default();
        let mut breaker = Breaker::new();
        let (mut now, mut waited) = (seconds(0), Vec::new());
        loop {
            match breaker.count(&policy, false, now, now) {
                None => {}
                Some(Change::Tripped { until } | Change::StillOpen { until }) => {
                    waited.push(until.since(now).as_secs());
                    now = until;
                }
                Some(Change::GaveUp) => break,
                Some(Change::Recovered) => panic!("nothing succeeded"),
            }
        }
        assert_eq!(waited, [30, 60, 120, 240, 480, 960, 960, 960, 960, 960]);
    }

    #[test]
    fn late_failures_of_before_do_not_count_as_probes() {
        let mut breaker = Breaker::new();
        count(&mut breaker, 0, 10, 0);
        assert_eq!(breaker.count(&POLICY, false, seconds(0), seconds(5)), None);
        assert_eq!(breaker.ready_at(), seconds(30));
    }

    #[test]
    fn open_breaker_tries_as_much_earlier_as_the_clock_was_set_back() {
        let mut breaker = Breaker::default();
        assert_eq!(
            count(&mut breaker, 0, 10, 1000),
            Some(Change::Tripped { until: seconds(1030) })
        );
        breaker.set_back(Duration::from_secs(600));
        assert_eq!(breaker.ready_at(), seconds(430));
        assert_eq!(breaker.allowance(0, seconds(429)), 0);
        assert_eq!(breaker.allowance(0, seconds(430)), 1);
    }

    #[test]
    fn failures_before_the_clock_was_set_back_are_forgotten() {
        let mut breaker = Breaker::default();
        assert_eq!(count(&mut breaker, 0, 9, 1000), None);
        breaker.set_back(Duration::from_secs(10));
        assert_eq!(count(&mut breaker, 0, 9, 990), None);
        assert_eq!(breaker.ready_at(), Timestamp::MIN);
    }
}
