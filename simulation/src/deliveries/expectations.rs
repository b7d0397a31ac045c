//! What is to become of a message after an attempt, written down anew from the documents.

use std::sync::Arc;
use std::time::Duration;

use super::world::{Flight, World};
use crate::domain::outcome::Outcome;
use crate::domain::queue::{Queue, QueueId};
use crate::domain::retry::{Backoff, STANDARD_SCHEDULE};
use crate::domain::scheduler::Verdict;
use crate::domain::time::Timestamp;
use crate::rule;

/// A verdict is what the policy says. `queue` is none when it was dropped meanwhile.
pub fn check_verdict(
    flight: &Flight,
    queue: Option<&Arc<Queue>>,
    outcome: &Outcome,
    verdict: Verdict,
    now: Timestamp,
    jitter: f64,
) {
    let accepted = matches!(outcome, Outcome::Accepted { .. });
    rule!(
        accepted == (verdict == Verdict::Delivered),
        "delivered is what was accepted, and nothing else",
        "{verdict:?} after {outcome:?}"
    );
    let Some(queue) = queue.filter(|_| !accepted) else {
        return;
    };
    let attempts = flight.candidate.attempt + 1 - flight.candidate.attempts_before;
    let is_last = attempts >= queue.retry.max_attempts || matches!(outcome, Outcome::Unbuildable { .. });
    let retry_after = match outcome {
        Outcome::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let delay = delay(&queue.retry.backoff, attempts, jitter).max(retry_after);
    let slack = Duration::from_micros(2);
    let (earliest, latest) = (now.after(delay.saturating_sub(slack)), now.after(delay + slack));
    let too_late = flight
        .candidate
        .expires_at
        .is_some_and(|expires_at| expires_at <= latest);
    match verdict {
        Verdict::Delivered => {}
        Verdict::RetryAt(at) => {
            rule!(
                !is_last,
                "no message has more attempts than its queue allows",
                "attempt {attempts}"
            );
            rule!(
                (earliest..=latest).contains(&at),
                "a retry comes as the policy says, or as the receiver asks if that is later",
                "{:?} instead of {delay:?}",
                at.since(now)
            );
            let expires_at = flight.candidate.expires_at;
            rule!(
                expires_at.is_none_or(|expires_at| at < expires_at),
                "no retry comes after the end"
            );
        }
        Verdict::Dead => rule!(
            is_last,
            "a message is given up after its last attempt only",
            "attempt {attempts}, {outcome:?}"
        ),
        Verdict::Expired { retry_at, is_buried } => rule!(
            !is_last
                && too_late
                && is_buried == queue.bury_expired
                && (earliest..=latest).contains(&retry_at),
            "a message expires when its next attempt would come too late",
            "attempt {attempts}"
        ),
    }
}

/// Standard Webhooks, "Retry schedule": the n-th delay, the last one again and again, with a jitter of a fifth.
fn delay(backoff: &Backoff, attempts: u32, jitter: f64) -> Duration {
    let nth = |delays: &[Duration]| delays[(attempts as usize - 1).min(delays.len() - 1)];
    let scale = 1.0 + 0.2 * jitter;
    match backoff {
        Backoff::Schedule(delays) if delays.is_empty() => nth(&STANDARD_SCHEDULE).mul_f64(scale),
        Backoff::Schedule(delays) => nth(delays).mul_f64(scale),
        Backoff::Exponential { min, max } => {
            let doubled = min.mul_f64(2_f64.powi(i32::try_from(attempts).unwrap_or(i32::MAX) - 1));
            doubled.min(*max).mul_f64(scale).min(*max)
        }
    }
}

impl World {
    /// A queue is to be disabled only if it did nothing but fail for so long.
    pub fn check_given_up(&self, queue_id: QueueId, after: Option<Duration>) {
        let failed_for = self
            .failing_since
            .get(&queue_id)
            .map(|since| self.now.since(*since));
        rule!(
            after.is_some() && failed_for >= after,
            "a queue is given up when it only failed for as long as is set",
            "{failed_for:?} of {after:?}"
        );
    }
}
