//! Policies of queues, in small numbers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::auth::Auth;
use crate::domain::breaker::BreakerPolicy;
use crate::domain::endpoint::Endpoint;
use crate::domain::headers::Headers;
use crate::domain::queue::{AcceptedStatuses, Method, Queue, QueueId};
use crate::domain::rate::RateLimit;
use crate::domain::retry::{Backoff, RetryPolicy};
use crate::history::Simpler;

/// What of a queue matters here.
#[derive(Clone, PartialEq)]
pub struct Policy {
    pub max_in_flight: u8,
    pub max_attempts: u8,
    pub backs: Backs,
    pub rate: Option<Rates>,
    pub breaker: Option<Breaks>,
    /// Whether dead letters hold back later messages of their keys.
    pub blocks: bool,
    pub bury_expired: bool,
}

/// Delays between attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backs {
    Every { ms: u32 },
    Doubling { min_ms: u32, max_ms: u32 },
    Standard,
}

/// So many messages in each interval, so many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    pub messages: u8,
    pub interval_ms: u32,
    pub burst: u8,
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaks {
    pub window_s: u16,
    pub min_requests: u8,
    /// Share of failures that opens it, in percent.
    pub percent: u8,
    pub open_s: u16,
    pub max_failed_probes: u8,
}

impl Policy {
    /// One that limits nothing.
    pub const PLAIN: Policy = Policy {
        max_in_flight: 8,
        max_attempts: 4,
        backs: Backs::Every { ms: 5000 },
        rate: None,
        breaker: None,
        blocks: false,
        bury_expired: false,
    };

    /// The queue with this policy, as the store would load it.
    pub fn of_queue(&self, id: QueueId, active: bool) -> Arc<Queue> {
        thread_local! {
            static ENDPOINT: Endpoint = Endpoint::parse("https://example.com/hook").expect("a valid URL");
        }
        Arc::new(Queue {
            id,
            endpoint: ENDPOINT.with(Endpoint::clone),
            method: Method::Post,
            headers: Headers::default(),
            timeout: Duration::from_secs(15),
            accepted: AcceptedStatuses::Successful,
            retry: RetryPolicy {
                max_attempts: u32::from(self.max_attempts),
                backoff: self.backs.backoff(),
            },
            max_in_flight: u32::from(self.max_in_flight),
            rate_limit: self.rate.map(Rates::limit),
            breaker: self.breaker.map(Breaks::policy),
            dead_letters_block: self.blocks,
            bury_expired: self.bury_expired,
            secrets: Default::default(),
            keep_bodies: false,
            keep_attempts: Default::default(),
            signing: Default::default(),
            active,
            auth: Ok(Auth::default()),
        })
    }
}

impl Backs {
    fn backoff(self) -> Backoff {
        let millis = |ms: u32| Duration::from_millis(u64::from(ms));
        match self {
            Backs::Every { ms } => Backoff::Schedule(vec![millis(ms)]),
            Backs::Doubling { min_ms, max_ms } => Backoff::Exponential {
                min: millis(min_ms),
                max: millis(max_ms),
            },
            Backs::Standard => Backoff::Schedule(Vec::new()),
        }
    }
}

impl Rates {
    fn limit(self) -> RateLimit {
        let interval = Duration::from_millis(u64::from(self.interval_ms));
        RateLimit::new(u32::from(self.messages), interval, u32::from(self.burst))
    }
}

impl Breaks {
    fn policy(self) -> BreakerPolicy {
        BreakerPolicy {
            window: Duration::from_secs(u64::from(self.window_s)),
            min_requests: u32::from(self.min_requests),
            threshold: f64::from(self.percent) / 100.0,
            open_for: Duration::from_secs(u64::from(self.open_s)),
            max_failed_probes: u32::from(self.max_failed_probes),
        }
    }
}

/// As one would write it: what is not plain.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = &Policy::PLAIN;
        let mut parts = Vec::new();
        let mut part = |differs: bool, name: &str, value: &dyn fmt::Debug| {
            if differs {
                parts.push(format!("{name}: {value:?}"));
            }
        };
        part(
            self.max_in_flight != plain.max_in_flight,
            "max_in_flight",
            &self.max_in_flight,
        );
        part(
            self.max_attempts != plain.max_attempts,
            "max_attempts",
            &self.max_attempts,
        );
        part(self.backs != plain.backs, "backs", &self.backs);
        part(self.rate.is_some(), "rate", &self.rate);
        part(self.breaker.is_some(), "breaker", &self.breaker);
        part(self.blocks, "blocks", &self.blocks);
        part(self.bury_expired, "bury_expired", &self.bury_expired);
        f.write_str(&unlike("Policy", &parts))
    }
}

/// A value of a type that has a `PLAIN` one, written as what is different.
pub fn unlike(name: &str, parts: &[String]) -> String {
    match parts {
        [] => format!("{name}::PLAIN"),
        parts => format!("{name} {{ {}, ..{name}::PLAIN }}", parts.join(", ")),
    }
}

impl Simpler for Policy {
    fn simpler(&self) -> Vec<Policy> {
        let plain = Policy::PLAIN;
        let mut simpler = vec![
            plain.clone(),
            Policy {
                max_in_flight: plain.max_in_flight,
                ..self.clone()
            },
            Policy {
                max_attempts: plain.max_attempts,
                ..self.clone()
            },
            Policy {
                backs: plain.backs,
                ..self.clone()
            },
            Policy {
                rate: None,
                ..self.clone()
            },
            Policy {
                breaker: None,
                ..self.clone()
            },
            Policy {
                blocks: false,
                ..self.clone()
            },
            Policy {
                bury_expired: false,
                ..self.clone()
            },
        ];
        simpler.retain(|policy| policy != self);
        simpler
    }
}
