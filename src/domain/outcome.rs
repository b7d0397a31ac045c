//! What came of one attempt.

use std::time::Duration;

/// Longest text of an error, in characters: a receiver's certificate may name very many names.
const MAX_TEXT_CHARS: usize = 1000;

/// How one attempt ended. Each variant has its own cause; there is no status of 0 for "no answer".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered with an accepted status: the message is delivered.
    Accepted { status: u16 },
    /// The receiver answered with any other status, redirects included.
    Refused {
        status: u16,
        /// How long the receiver asks us to wait, already capped.
        retry_after: Option<Duration>,
    },
    /// No connection came about, so the receiver saw nothing of the message.
    Unreachable { cause: Unreachable, detail: String },
    /// The queue's timeout passed before the answer was complete.
    TimedOut { after: Duration },
    /// The connection ended, or spoke something that is not HTTP, before an answer was complete.
    ConnectionLost { detail: String },
    /// The queue's authentication could not be applied; nothing was sent to the receiver.
    Unauthenticated { detail: String },
    /// The request could not be built from the stored row; nothing was sent.
    Unbuildable { detail: String },
    /// A secret that the request needs is missing or cannot be used; nothing was sent.
    NoSecret { detail: String },
    /// A fault of our own while attempting; the receiver may have seen the message.
    Fault { detail: String },
}

/// Why no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The name could not be resolved, or resolved to nothing.
    Dns,
    /// Every address of the name is denied by the address rules.
    Blocked,
    /// Refused, unreachable, or out of sockets.
    Connect,
    /// The TLS handshake failed: certificate, protocol version, or not TLS at all.
    Tls,
}

impl Outcome {
    /// The word stored in `hooks.attempt.error_class`; `None` when delivered.
    #[must_use]
    pub fn error_class(&self) -> Option<&'static str> {
        Some(match self {
            Outcome::Accepted { .. } => return None,
            Outcome::Refused { .. } => "status",
            Outcome::Unreachable { cause, .. } => match cause {
                Unreachable::Dns => "dns",
                Unreachable::Blocked => "blocked",
                Unreachable::Connect => "connect",
                Unreachable::Tls => "tls",
            },
            Outcome::TimedOut { .. } => "timeout",
            Outcome::ConnectionLost { .. } => "connection_lost",
            Outcome::Unauthenticated { .. } => "auth",
            Outcome::Unbuildable { .. } => "unbuildable",
            Outcome::NoSecret { .. } => "secret",
            Outcome::Fault { .. } => "fault",
        })
    }

    /// The status the receiver answered with, if it answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Outcome::Accepted { status } | Outcome::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// One line for people, of at most 1,000 characters: what went wrong. `None` when delivered.
    #[must_use]
    pub fn error_text(&self) -> Option<String> {
        Some(match self {
            Outcome::Accepted { .. } => return None,
            Outcome::Refused { status, .. } => format!("receiver answered {status}"),
            Outcome::TimedOut { after } => format!("timed out after {} ms", after.as_millis()),
            Outcome::Unreachable { detail, .. }
            | Outcome::ConnectionLost { detail }
            | Outcome::Unauthenticated { detail }
            | Outcome::Unbuildable { detail }
            | Outcome::NoSecret { detail }
            | Outcome::Fault { detail } => detail.chars().take(MAX_TEXT_CHARS).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(cause: Unreachable) -> Outcome {
        let detail = "why".to_owned();
        Outcome::Unreachable { cause, detail }
    }

    #[test]
    fn each_way_to_fail_has_a_word_of_its_own_and_a_line_for_people() {
        let detail = || "why".to_owned();
        let refused = Outcome::Refused {
            status: 503,
            retry_after: None,
        };
        let timed_out = Outcome::TimedOut {
            after: Duration::from_millis(1500),
        };
        for (outcome, class, text) in [
            (refused, "status", "receiver answered 503"),
            (unreachable(Unreachable::Dns), "dns", "why"),
            (unreachable(Unreachable::Blocked), "blocked", "why"),
            (unreachable(Unreachable::Connect), "connect", "why"),
            (unreachable(Unreachable::Tls), "tls", "why"),
            (timed_out, "timeout", "timed out after 1500 ms"),
            (
                Outcome::ConnectionLost { detail: detail() },
                "connection_lost",
                "why",
            ),
            (Outcome::Unauthenticated { detail: detail() }, "auth", "why"),
            (Outcome::Unbuildable { detail: detail() }, "unbuildable", "why"),
            (Outcome::NoSecret { detail: detail() }, "secret", "why"),
            (Outcome::Fault { detail: detail() }, "fault", "why"),
        ] {
            assert_eq!(outcome.error_class(), Some(class));
            assert_eq!(outcome.error_text().as_deref(), Some(text));
            assert_eq!(outcome.status(), (class == "status").then_some(503));
        }
    }

    #[test]
    fn text_is_bounded_whatever_a_certificate_names() {
        let detail = "é".repeat(30_000);
        let text = Outcome::ConnectionLost { detail }.error_text();
        assert_eq!(text, Some("é".repeat(1000)));
    }

    #[test]
    fn delivery_is_no_error() {
        let delivered = Outcome::Accepted { status: 202 };
        assert_eq!((delivered.error_class(), delivered.error_text()), (None, None));
        assert_eq!(delivered.status(), Some(202));
    }
}
