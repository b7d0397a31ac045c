//! A queue: one HTTP endpoint with its policy.

use std::time::Duration;

use super::auth::Auth;
use super::breaker::BreakerPolicy;
use super::endpoint::Endpoint;
use super::headers::Headers;
use super::rate::RateLimit;
use super::retry::RetryPolicy;
use super::secret::Secrets;
use super::signature::Signing;
use super::time::Timestamp;

/// `hooks.queue.id`.
pub type QueueId = i64;

/// How a queue's messages are sent. What is stored was validated; what is here was validated again.
#[derive(Clone, Debug)]
pub struct Queue {
    pub id: QueueId,
    pub endpoint: Endpoint,
    pub method: Method,
    /// What it authenticates with, or why that cannot be had: then nothing is sent.
    pub auth: Result<Auth, String>,
    /// Sent with every message; a header of the message wins over the one of the same name here.
    pub headers: Headers,
    /// For one whole attempt: resolve, connect, send, answer. 1 to 300 s.
    pub timeout: Duration,
    pub accepted: AcceptedStatuses,
    pub retry: RetryPolicy,
    /// How many of its messages may be on the wire at once, from 1.
    pub max_in_flight: u32,
    /// How many may start within a time; `None` for no limit.
    pub rate_limit: Option<RateLimit>,
    /// When to stop sending for a while; `None` for never.
    pub breaker: Option<BreakerPolicy>,
    /// Whether a dead letter holds back later messages of its ordering key until it is redriven or
    /// purged.
    pub dead_letters_block: bool,
    /// Whether a message that expires becomes a dead letter.
    pub bury_expired: bool,
    /// What only this process and the receiver know.
    pub secrets: Secrets,
    /// Whether finished messages stay as they were, to be sent again.
    pub keep_bodies: bool,
    /// Which attempts are recorded.
    pub keep_attempts: KeepAttempts,
    /// What its requests are signed with.
    pub signing: Signing,
    /// Paused or inactive queues keep their messages and send nothing.
    pub active: bool,
}

impl Queue {
    /// Why no request that is made `now` could be signed or show who sends it, if so.
    #[must_use]
    pub fn lacks_secret_at(&self, now: Timestamp) -> Option<String> {
        let unsigned = self.signing.problem_at(now).map(|missing| missing.detail);
        unsigned.or_else(|| self.auth.as_ref().err().cloned())
    }
}

/// Which attempts of a queue are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAttempts {
    #[default]
    All,
    Failures,
    None,
}

impl KeepAttempts {
    /// The choice of that name in `hooks.queue.keep_attempts`.
    #[must_use]
    pub fn parse(name: &str) -> Option<KeepAttempts> {
        Some(match name {
            "all" => KeepAttempts::All,
            "failures" => KeepAttempts::Failures,
            "none" => KeepAttempts::None,
            _ => return None,
        })
    }

    /// Whether an attempt is recorded that failed, or did not.
    #[must_use]
    pub fn records(self, failed: bool) -> bool {
        match self {
            KeepAttempts::All => true,
            KeepAttempts::Failures => failed,
            KeepAttempts::None => false,
        }
    }
}

/// Request methods a queue may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Every method, by the name that SQL uses.
    pub const ALL: [(&'static str, Method); 5] = [
        ("GET", Method::Get),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
    ];

    /// The method of that name; names are upper case, as in RFC 9110.
    #[must_use]
    pub fn parse(name: &str) -> Option<Method> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, method)| *method)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// Which statuses mean "delivered".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcceptedStatuses {
    /// 200 to 299, the default.
    Successful,
    /// Exactly these, each 100 to 599.
    Listed(Vec<u16>),
}

impl AcceptedStatuses {
    /// Whether an answer with `status` means "delivered".
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        match self {
            AcceptedStatuses::Successful => (200..300).contains(&status),
            AcceptedStatuses::Listed(statuses) => statuses.contains(&status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_names_of_http() {
        for (name, method) in Method::ALL {
            assert_eq!(method.as_str(), name);
            assert_eq!(Method::parse(name), Some(method));
            assert_eq!(Method::parse(&name.to_lowercase()), None);
        }
    }

    #[test]
    fn accepted_statuses_are_those_of_success_or_those_listed() {
        for (status, successful, listed) in [
            (199, false, false),
            (200, true, false),
            (299, true, false),
            (300, false, true),
        ] {
            assert_eq!(
                AcceptedStatuses::Successful.contains(status),
                successful,
                "{status}"
            );
            assert_eq!(
                AcceptedStatuses::Listed(vec![300, 404]).contains(status),
                listed,
                "{status}"
            );
        }
    }

    #[test]
    fn attempts_are_recorded_by_choice() {
        for (name, of_success, of_failure) in [
            ("all", true, true),
            ("failures", false, true),
            ("none", false, false),
        ] {
            let choice = KeepAttempts::parse(name).expect("a choice");
            assert_eq!(
                (choice.records(false), choice.records(true)),
                (of_success, of_failure),
                "{name}"
            );
        }
        assert_eq!(KeepAttempts::parse("some"), None);
    }
}
