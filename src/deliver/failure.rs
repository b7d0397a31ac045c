//! What an error of the HTTP client means for the attempt.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use ureq::Error;

use super::tls;
use crate::domain::outcome::{Outcome, Unreachable};

/// A failure found by our own parts below ureq. It travels through ureq as [`Error::Other`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about.
    Unreachable { cause: Unreachable, detail: String },
    /// A connection kept from an earlier attempt had ended before this one's request arrived.
    Stale { detail: String },
    /// This machine lacks what an attempt takes, so none was made.
    Shortage { detail: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable { detail, .. }
            | Failure::Stale { detail }
            | Failure::Shortage { detail } => f.write_str(detail),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Other(Box::new(failure))
    }
}

/// Whether the attempt shall be made once more on a fresh connection.
pub fn is_stale(error: &Error) -> bool {
    matches!(failure(error), Some(Failure::Stale { .. }))
}

/// What this machine lacks, if that is why no attempt was made.
pub fn shortage(error: &Error) -> Option<&str> {
    match failure(error) {
        Some(Failure::Shortage { detail }) => Some(detail),
        _ => None,
    }
}

/// How an attempt ended that got no answer. `timeout` is the one of the queue.
pub fn outcome(error: &Error, timeout: Duration) -> Outcome {
    if let Some(failure) = failure(error) {
        return match failure.clone() {
            Failure::Unreachable { cause, detail } => Outcome::Unreachable { cause, detail },
            Failure::Stale { detail } => Outcome::ConnectionLost { detail },
            Failure::Shortage { detail } => Outcome::Fault { detail },
        };
    }
    match error {
        Error::Timeout(_) => Outcome::TimedOut { after: timeout },
        Error::Io(error) => match tls::rejection(error) {
            Some(detail) => Outcome::Unreachable {
                cause: Unreachable::Tls,
                detail,
            },
            None => Outcome::ConnectionLost {
                detail: io_detail(error),
            },
        },
        Error::Protocol(error) => Outcome::ConnectionLost {
            detail: format!("answer is not valid HTTP: {error}"),
        },
        Error::LargeResponseHeader(_, limit) => Outcome::ConnectionLost {
            detail: format!("header of the answer is longer than {limit} bytes"),
        },
        // Nothing below makes these of a request that `domain::request` built.
        other => Outcome::Fault {
            detail: other.to_string(),
        },
    }
}

/// One line about an error of the system, without its number.
pub fn io_detail(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::UnexpectedEof, None) => "connection closed before an answer".to_owned(),
        (_, Some(number)) => Errno::from_raw(number).desc().to_owned(),
        _ => error.to_string(),
    }
}

fn failure(error: &Error) -> Option<&Failure> {
    match error {
        Error::Other(other) => other.downcast_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(7);

    fn detail() -> String {
        "why".to_owned()
    }

    #[test]
    fn failures_of_our_own_travel_through_the_client_unchanged() {
        let cause = Unreachable::Blocked;
        let detail = detail();
        for (failure, expected) in [
            (
                Failure::Unreachable {
                    cause,
                    detail: detail.clone(),
                },
                Outcome::Unreachable {
                    cause,
                    detail: detail.clone(),
                },
            ),
            (
                Failure::Stale {
                    detail: detail.clone(),
                },
                Outcome::ConnectionLost {
                    detail: detail.clone(),
                },
            ),
            (
                Failure::Shortage {
                    detail: detail.clone(),
                },
                Outcome::Fault {
                    detail: detail.clone(),
                },
            ),
        ] {
            let is_short = matches!(failure, Failure::Shortage { .. });
            let stale = matches!(failure, Failure::Stale { .. });
            let error = Error::from(failure);
            assert_eq!(error.to_string(), "other: why");
            assert_eq!(shortage(&error), is_short.then_some("why"));
            assert_eq!(is_stale(&error), stale);
            assert_eq!(outcome(&error, TIMEOUT), expected);
        }
    }

    #[test]
    fn errors_of_the_client_are_told_apart() {
        let lost = |detail: &str| Outcome::ConnectionLost {
            detail: detail.to_owned(),
        };
        let reset = io::Error::from_raw_os_error(Errno::ECONNRESET as i32);
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        for (error, expected) in [
            (
                Error::Timeout(ureq::Timeout::Global),
                Outcome::TimedOut { after: TIMEOUT },
            ),
            (Error::Io(reset), lost("Connection reset by peer")),
            (Error::Io(closed), lost("connection closed before an answer")),
            (
                Error::LargeResponseHeader(9, 8),
                lost("header of the answer is longer than 8 bytes"),
            ),
        ] {
            assert_eq!(shortage(&error), None);
            assert!(!is_stale(&error));
            assert_eq!(outcome(&error, TIMEOUT), expected);
        }
        // What no request of ours leads to is our fault, and not the receiver's.
        let fault = outcome(&Error::HostNotFound, TIMEOUT);
        assert_eq!(fault.error_class(), Some("fault"));
    }
}
