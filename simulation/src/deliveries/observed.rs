//! What of a queue is held back, and why, as documented: told apart from how the scheduler keeps it.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::breaker::{BreakerPolicy, Change};
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;
use crate::domain::rate::Bucket;
use crate::domain::scheduler::Notice;
use crate::domain::throttle::Throttle;
use crate::domain::time::Timestamp;
use crate::domain::trust::Trust;
use crate::rule;

/// A breaker stays open twice as long after each failed probe, up to so many times as long as at first.
const MOST_TIMES: u32 = 32;

/// One queue, as the present leader has it.
pub struct Observed {
    pub queue: Arc<Queue>,
    pub throttle: Throttle,
    pub bucket: Bucket,
    /// Counts its rate limits.
    pub meter: u32,
    pub trust: Trust,
    /// Retry-After of its receiver.
    pub held_until: Timestamp,
    /// What began earlier says nothing of it any more.
    judged_from: Timestamp,
    /// The breaker is open, and lets one message through from then on.
    pub open_until: Option<Timestamp>,
    /// When messages started under the present rate limit, as far as it matters.
    pub starts: Vec<Timestamp>,
    /// Probes that failed since it opened.
    failed_probes: u32,
    /// What came of attempts while the breaker was closed.
    outcomes: Vec<(Timestamp, bool)>,
    /// And that is what its window holds.
    outcomes_are_clear: bool,
    /// Turns in which it had nothing in flight, something to send and a free slot, and got none.
    pub passed_over: u32,
    /// A message of its was so large that its bytes count.
    pub had_large: bool,
}

impl Observed {
    /// A queue that the leader has just got to know.
    pub fn new(queue: Arc<Queue>) -> Observed {
        Observed {
            queue,
            throttle: Throttle::open(),
            bucket: Bucket::new(),
            meter: 0,
            trust: Trust::none(),
            held_until: Timestamp::MIN,
            judged_from: Timestamp::MIN,
            open_until: None,
            starts: Vec::new(),
            failed_probes: 0,
            outcomes: Vec::new(),
            outcomes_are_clear: true,
            passed_over: 0,
            had_large: false,
        }
    }

    /// Its policy changed.
    pub fn follow(&mut self, queue: Arc<Queue>, now: Timestamp) {
        if queue.active && !self.queue.active {
            self.throttle = Throttle::slow_start();
            self.held_until = Timestamp::MIN;
            self.judged_from = now;
            self.close_breaker();
        }
        if queue.breaker.is_none() {
            self.close_breaker();
        } else if queue.breaker != self.queue.breaker {
            self.outcomes_are_clear = false;
        }
        if queue.rate_limit != self.queue.rate_limit {
            self.bucket = Bucket::new();
            self.meter += 1;
            self.starts.clear();
        }
        self.queue = queue;
    }

    /// A message that took off then came back, and nothing was sent.
    pub fn take_start_back(&mut self, meter: u32, began: Timestamp) {
        if let Some(limit) = self.queue.rate_limit.filter(|_| meter == self.meter) {
            self.bucket.give_back(&limit, began);
        }
        if let Some(place) = self.starts.iter().position(|start| *start == began) {
            self.starts.remove(place);
        }
    }

    fn close_breaker(&mut self) {
        self.open_until = None;
        self.failed_probes = 0;
        self.outcomes.clear();
        self.outcomes_are_clear = true;
    }

    /// How many may be on the wire.
    pub fn limit(&self) -> usize {
        self.throttle.limit(self.queue.max_in_flight) as usize
    }

    /// When it may send at the earliest.
    pub fn ready_at(&self) -> Timestamp {
        let rate = self.queue.rate_limit.map(|rate| self.bucket.next_at(&rate));
        let breaker = self.open_until.unwrap_or(Timestamp::MIN);
        self.held_until.max(breaker).max(rate.unwrap_or(Timestamp::MIN))
    }

    /// An answer came while so many of its messages were in flight; the scheduler noticed this of it. Returns whether
    /// it says anything of the queue.
    pub fn answered(
        &mut self,
        outcome: &Outcome,
        notices: &[Notice],
        in_flight: usize,
        started: Timestamp,
        now: Timestamp,
    ) -> bool {
        let max = self.queue.max_in_flight;
        let accepted = matches!(outcome, Outcome::Accepted { .. });
        if outcome.status().is_some() {
            self.trust
                .answered(u32::try_from(in_flight).unwrap_or(u32::MAX), now);
        }
        if started < self.judged_from {
            rule!(
                notices.is_empty(),
                "what began before a queue was resumed says nothing of it",
                "{notices:?}"
            );
            return false;
        }
        if let Some(status) = outcome.status() {
            self.throttle.answered(status, accepted, max);
        }
        if let Outcome::Refused {
            status: 429 | 503,
            retry_after: Some(delay),
        } = outcome
        {
            self.held_until = self.held_until.max(now.after(*delay));
        }
        let change = notices.iter().find_map(|notice| match notice {
            Notice::Breaker(change) => Some(*change),
            _ => None,
        });
        self.check_breaker(outcome, change, started, now);
        match change {
            Some(Change::Tripped { until } | Change::StillOpen { until }) => self.open_until = Some(until),
            Some(Change::Recovered) => {
                self.close_breaker();
                self.throttle = Throttle::slow_start();
            }
            // The queue is switched off.
            Some(Change::GaveUp) | None => {}
        }
        true
    }

    /// What the breaker does fits the outcomes so far.
    fn check_breaker(
        &mut self,
        outcome: &Outcome,
        change: Option<Change>,
        started: Timestamp,
        now: Timestamp,
    ) {
        let says_nothing = matches!(
            outcome,
            Outcome::Refused { status: 410, .. }
                | Outcome::Unbuildable { .. }
                | Outcome::NoSecret { .. }
                | Outcome::Fault { .. }
        );
        let Some(policy) = self.queue.breaker.filter(|_| !says_nothing) else {
            rule!(
                change.is_none(),
                "a breaker moves when the receiver was asked",
                "{change:?} at {outcome:?}"
            );
            return;
        };
        let accepted = matches!(outcome, Outcome::Accepted { .. });
        if self.open_until.is_some() && change.is_some() && !accepted {
            self.failed_probes += 1;
        }
        let opens_until =
            now.after(policy.open_for * 2_u32.saturating_pow(self.failed_probes).min(MOST_TIMES));
        if let Some(until) = self.open_until {
            let probed = accepted || started >= until;
            let fits = match change {
                None => !probed,
                Some(Change::Recovered) => accepted,
                Some(Change::StillOpen { until }) => !accepted && probed && until == opens_until,
                Some(Change::GaveUp) => !accepted && probed && self.failed_probes >= policy.max_failed_probes,
                Some(Change::Tripped { .. }) => false,
            };
            rule!(
                fits,
                "an open breaker moves by its probe",
                "{change:?} after {outcome:?}"
            );
            if change == Some(Change::GaveUp) {
                self.open_until = Some(opens_until);
            }
            return;
        }
        self.outcomes.push((now, accepted));
        let opened = match change {
            None => false,
            Some(Change::Tripped { until }) => until == opens_until && !accepted,
            Some(_) => false,
        };
        rule!(
            opened || change.is_none(),
            "a closed breaker trips, for as long as its policy says",
            "{change:?}"
        );
        if self.outcomes_are_clear && !accepted {
            let (may, must) = self.may_and_must_open(&policy, now);
            rule!(
                may || !opened,
                "no breaker opens for fewer failures than its policy says"
            );
            rule!(!must || opened, "a breaker opens when enough attempts failed");
        }
        if opened {
            self.outcomes.clear();
        }
    }

    /// Whether it may open at a failure, and whether it must. The window is forgotten by tenths, so it is between
    /// nine and ten of them long.
    fn may_and_must_open(&self, policy: &BreakerPolicy, now: Timestamp) -> (bool, bool) {
        let least = now.before(policy.window.mul_f64(0.9));
        let most = now.before(policy.window);
        let between = self
            .outcomes
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| (most..=least).contains(at));
        let verdicts = between.chain([most, least, Timestamp(least.0 + 1)]).map(|from| {
            let counted = self.outcomes.iter().filter(|(at, _)| *at >= from);
            let requests = counted.clone().count();
            let failures = counted.filter(|(_, accepted)| !accepted).count();
            requests >= policy.min_requests as usize && failures as f64 >= policy.threshold * requests as f64
        });
        let verdicts: Vec<bool> = verdicts.collect();
        (verdicts.contains(&true), !verdicts.contains(&false))
    }

    /// The clock was set back: what it waits for on its own account comes as much earlier, if that is a second or
    /// more. What is in which part of which window is not defined.
    pub fn clock_went_back(&mut self, by: Duration) {
        self.outcomes_are_clear = false;
        self.starts.clear();
        if by < Duration::from_secs(1) {
            return;
        }
        self.held_until = self.held_until.before(by);
        self.open_until = self.open_until.map(|until| until.before(by));
        self.judged_from = self.judged_from.before(by);
        self.bucket.set_back(by);
        self.trust.set_back(by);
    }
}
