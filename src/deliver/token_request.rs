//! Asking a token endpoint for a token.

use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::header::RETRY_AFTER;

use super::capture::capture;
use super::failure;
use super::send::send;
use crate::domain::auth::{ClientCredentials, Grant, MAX_ANSWER_BYTES, read_answer};
use crate::domain::retry_after;
use crate::domain::time::Timestamp;

/// For one request, its connection included.
const TOKEN_BOUND: Duration = Duration::from_secs(10);

/// How long an endpoint that gave no token is left alone, unless it asks for more.
pub const PAUSE: Duration = Duration::from_secs(5);

/// The longest that it can ask for.
const MOST_PAUSE: Duration = Duration::from_secs(60);

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The endpoint gave none. For `pause`, nobody need ask again.
    Refused { detail: String, pause: Duration },
    /// This machine could not ask.
    Shortage(String),
}

/// Asks for a token, by `deadline` and for at most [`TOKEN_BOUND`].
///
/// The request goes through the same resolver and dialer as messages do, and so by the same rules.
pub fn ask_for_token(
    agent: &Agent,
    credentials: &ClientCredentials,
    now: Timestamp,
    deadline: Instant,
) -> Result<Grant, Miss> {
    let began = Instant::now();
    let bound = began + TOKEN_BOUND;
    let (request, body) = credentials.request();
    let answer = match send(agent, request, &body, deadline.min(bound)) {
        Ok(answer) => answer,
        Err(error) => {
            if let Some(detail) = failure::shortage(&error) {
                return Err(Miss::Shortage(detail.to_owned()));
            }
            let outcome = failure::outcome(&error, began.elapsed());
            let detail = outcome.error_text().unwrap_or_default();
            return Err(Miss::Refused {
                detail: format!("token endpoint: {detail}"),
                pause: PAUSE,
            });
        }
    };
    let answered_at = now.after(began.elapsed());
    let (header, body) = answer.into_parts();
    let length = body.content_length();
    let body = capture(body.into_reader(), length, MAX_ANSWER_BYTES);
    let status = header.status.as_u16();
    read_answer(credentials, status, &body.body, !body.truncated).map_err(|detail| {
        let asked = header.headers.get(RETRY_AFTER);
        let asked = asked.and_then(|value| retry_after::parse(value.to_str().ok()?, answered_at));
        Miss::Refused {
            detail,
            pause: asked.unwrap_or(PAUSE).clamp(PAUSE, MOST_PAUSE),
        }
    })
}
