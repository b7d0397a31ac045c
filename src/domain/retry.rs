//! When a message is tried again, and when it is given up.

use std::time::Duration;

use super::outcome::Outcome;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Delays between attempts after Standard Webhooks, "Retry schedule": ten attempts in about three days.
pub const STANDARD_SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
    Duration::from_secs(10 * HOUR),
    Duration::from_secs(14 * HOUR),
    Duration::from_secs(20 * HOUR),
    Duration::from_secs(24 * HOUR),
];

/// Attempts of a queue that sets no number, the first one included.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 10;

/// How much of a delay jitter may add or take away.
const JITTER_SHARE: f64 = 0.2;

/// How often a message is tried, and how far apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, from 1.
    pub max_attempts: u32,
    pub backoff: Backoff,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let backoff = Backoff::Schedule(STANDARD_SCHEDULE.to_vec());
        RetryPolicy {
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            backoff,
        }
    }
}

/// Delays between attempts, before jitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// One entry after each attempt; the last one repeats. An empty one stands for [`STANDARD_SCHEDULE`].
    Schedule(Vec<Duration>),
    /// `min` after the first attempt, then twice the delay before, never more than `max`.
    Exponential { min: Duration, max: Duration },
}

/// What becomes of a message after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Delivered,
    RetryIn(Duration),
    Dead,
}

/// Delay before attempt `attempt + 1`.
///
/// `attempt` counts finished attempts from 1. `jitter` is uniform in [-1, 1] and scales by 20 %; beyond
/// that range it is clamped, and NaN is none. Never longer than `max`, except to be never shorter than a
/// `Retry-After`. Standard Webhooks, "Retry schedule".
#[must_use]
pub fn retry_delay(
    policy: &RetryPolicy,
    attempt: u32,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Duration {
    let delay = match &policy.backoff {
        Backoff::Schedule(delays) => jittered(scheduled(delays, attempt), jitter),
        Backoff::Exponential { min, max } => {
            let doubled = min.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
            jittered(doubled.min(*max), jitter).min(*max)
        }
    };
    delay.max(retry_after.unwrap_or_default())
}

/// What becomes of a message whose attempt number `attempt`, counted from 1, ended with `outcome`.
///
/// A request that cannot be built will not be buildable later either: it is dead at once. A
/// `Retry-After` lengthens the delay and never adds an attempt.
#[must_use]
pub fn resolve(policy: &RetryPolicy, attempt: u32, outcome: &Outcome, jitter: f64) -> Resolution {
    let retry_after = match outcome {
        Outcome::Accepted { .. } => return Resolution::Delivered,
        Outcome::Unbuildable { .. } => return Resolution::Dead,
        Outcome::Refused { retry_after, .. } => *retry_after,
        Outcome::Unreachable { .. }
        | Outcome::TimedOut { .. }
        | Outcome::ConnectionLost { .. }
        | Outcome::NoSecret { .. }
        | Outcome::Unauthenticated { .. }
        | Outcome::Fault { .. } => None,
    };
    if attempt >= policy.max_attempts {
        return Resolution::Dead;
    }
    Resolution::RetryIn(retry_delay(policy, attempt, retry_after, jitter))
}

fn scheduled(delays: &[Duration], attempt: u32) -> Duration {
    let delays = if delays.is_empty() {
        &STANDARD_SCHEDULE
    } else {
        delays
    };
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    delays.get(index).or(delays.last()).copied().unwrap_or_default()
}

fn jittered(delay: Duration, jitter: f64) -> Duration {
    let change = delay.as_secs_f64() * JITTER_SHARE * jitter.abs().clamp(0.0, 1.0);
    // NaN makes no duration, and so no change.
    let change = Duration::try_from_secs_f64(change).unwrap_or_default();
    if jitter < 0.0 {
        delay.saturating_sub(change)
    } else {
        delay.saturating_add(change)
    }
}

#[cfg(test)]
mod tests;
