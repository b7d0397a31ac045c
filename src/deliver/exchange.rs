//! One request and its answer.

use std::time::{Duration, Instant};

use ureq::http::header::RETRY_AFTER;
use ureq::{Agent, AsSendBody, Body, Error, http};

use super::capture::capture;
use super::{Job, Response, failure};
use crate::domain::outcome::Outcome;
use crate::domain::queue::{Method, Queue};
use crate::domain::time::Timestamp;
use crate::domain::{request, retry_after};

/// Sends the message and says what came of it.
///
/// Once the header of an answer is in, its status decides, and a body that breaks off or does not end
/// changes nothing: the receiver has answered.
pub fn exchange(agent: &Agent, capture_limit: usize, job: &Job, now: Timestamp) -> (Outcome, Response) {
    let deadline = Instant::now() + job.queue.timeout;
    let sent = send(agent, job, now, deadline, Connections::Kept);
    let sent = match sent {
        // The receiver closed a kept connection, most likely before it saw the request. If it did see
        // it, the message arrives twice, as after any other lost answer; promise 4 allows that, and a
        // receiver that restarts would otherwise cost every queue an attempt.
        Err(Cause::Http(error)) if failure::is_stale(&error) => {
            send(agent, job, now, deadline, Connections::Fresh)
        }
        sent => sent,
    };
    match sent {
        Ok(answer) => accept(&job.queue, answer, capture_limit, now),
        Err(Cause::Unbuildable(outcome)) => (outcome, Response::default()),
        Err(Cause::Http(error)) => (failure::outcome(&error, job.queue.timeout), Response::default()),
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
        run(agent, request, deadline, connections)
    } else {
        run(agent, request.map(|()| body), deadline, connections)
    };
    answer.map_err(Cause::Http)
}

fn run(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    deadline: Instant,
    connections: Connections,
) -> Result<http::Response<Body>, Error> {
    let timeout = deadline.saturating_duration_since(Instant::now());
    let request = agent.configure_request(request).timeout_global(Some(timeout));
    let request = match connections {
        Connections::Kept => request,
        Connections::Fresh => request.max_idle_age(Duration::ZERO),
    };
    agent.run(request.build())
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
