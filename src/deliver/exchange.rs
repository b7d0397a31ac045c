//! One request and its answer.

use std::time::{Duration, Instant};

use ureq::http::HeaderMap;
use ureq::http::header::RETRY_AFTER;
use ureq::{Agent, AsSendBody, Body, Error, http};

use super::capture::capture;
use super::{Job, Response, failure};
use crate::domain::endpoint::MAX_URL_BYTES;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{Method, Queue};
use crate::domain::time::Timestamp;
use crate::domain::{request, retry_after};

/// Bytes of a part of a request, at least. The first line, with the longest URL that a queue may have, fits.
const LEAST_OUTPUT: usize = MAX_URL_BYTES + 1024;

/// A body is written in parts of up to so many bytes.
const MOST_OUTPUT: usize = 16 * 1024;

/// What this machine lacks for an attempt; nothing was sent.
pub struct Shortage(pub String);

/// Sends the message and says what came of it.
///
/// Once the header of an answer is in, its status decides, and a body that breaks off or does not end
/// changes nothing: the receiver has answered.
///
/// # Errors
/// There is no descriptor for a connection.
pub fn exchange(
    agent: &Agent,
    capture_limit: usize,
    job: &Job,
    now: Timestamp,
) -> Result<(Outcome, Response), Shortage> {
    let deadline = Instant::now() + job.queue.timeout;
    let sent = send(agent, job, now, deadline, Connections::Kept);
    let sent = match sent {
        // The receiver closed a kept connection before it could see the whole request. Without this, a
        // receiver that restarts would cost every queue an attempt.
        Err(Cause::Http(error)) if failure::is_stale(&error) => {
            send(agent, job, now, deadline, Connections::Fresh)
        }
        sent => sent,
    };
    match sent {
        Ok(answer) => Ok(accept(&job.queue, answer, capture_limit, now)),
        Err(Cause::Unbuildable(outcome)) => Ok((outcome, Response::default())),
        Err(Cause::Http(error)) => match failure::shortage(&error) {
            Some(detail) => Err(Shortage(detail.to_owned())),
            None => Ok((failure::outcome(&error, job.queue.timeout), Response::default())),
        },
    }
}

/// Which connections a request may go over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connections {
    /// One kept from an earlier request, if there is one.
    Kept,
    /// A new one only; those kept for the same host are closed.
    Fresh,
}

/// Why there is no answer.
enum Cause {
    Unbuildable(Outcome),
    Http(Error),
}

fn send(
    agent: &Agent,
    job: &Job,
    now: Timestamp,
    deadline: Instant,
    connections: Connections,
) -> Result<http::Response<Body>, Cause> {
    let built = request::build(&job.queue, &job.message, now);
    let request = built.map_err(|unbuildable| Cause::Unbuildable(unbuildable.into()))?;
    let body = job.message.body.bytes();
    // Without a body, GET and DELETE say nothing of one, while the others say that it is empty
    // (RFC 9110, section 8.6).
    let answer = if body.is_empty() && matches!(job.queue.method, Method::Get | Method::Delete) {
        run(agent, request, 0, deadline, connections)
    } else {
        run(agent, request.map(|()| body), body.len(), deadline, connections)
    };
    answer.map_err(Cause::Http)
}

fn run(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    body_bytes: usize,
    deadline: Instant,
    connections: Connections,
) -> Result<http::Response<Body>, Error> {
    let timeout = deadline.saturating_duration_since(Instant::now());
    let parts = output_bytes(request.headers(), body_bytes);
    let request = agent
        .configure_request(request)
        .timeout_global(Some(timeout))
        .output_buffer_size(parts);
    let request = match connections {
        Connections::Kept => request,
        Connections::Fresh => request.max_idle_age(Duration::ZERO),
    };
    agent.run(request.build())
}

/// How long the parts are in which a request is written: any line of its header must fit into one.
fn output_bytes(headers: &HeaderMap, body_bytes: usize) -> usize {
    let lines = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines
        .chain([body_bytes.min(MOST_OUTPUT), LEAST_OUTPUT])
        .max()
        .unwrap_or(MOST_OUTPUT)
}

fn accept(
    queue: &Queue,
    answer: http::Response<Body>,
    capture_limit: usize,
    now: Timestamp,
) -> (Outcome, Response) {
    let (header, body) = answer.into_parts();
    let status = header.status.as_u16();
    let outcome = if queue.accepted.contains(status) {
        Outcome::Accepted { status }
    } else {
        let value = header
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        Outcome::Refused {
            status,
            retry_after: value.and_then(|value| retry_after::parse(value, now)),
        }
    };
    let length = body.content_length();
    (outcome, capture(body.into_reader(), length, capture_limit))
}
