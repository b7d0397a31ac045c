//! One request over a connection, and once more when that connection turns out to have been gone.

use std::time::{Duration, Instant};

use ureq::http::HeaderMap;
use ureq::{Agent, AsSendBody, Body, Error, http};

use super::failure;
use crate::domain::endpoint::MAX_URL_BYTES;

/// Bytes of a part of a request, at least. The first line, with the longest URL that a queue may have, fits.
const LEAST_OUTPUT: usize = MAX_URL_BYTES + 1024;

/// A body is written in parts of up to so many bytes.
const MOST_OUTPUT: usize = 16 * 1024;

/// Which connections a request may go over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connections {
    /// One kept from an earlier request, if there is one.
    Kept,
    /// A new one only; those kept for the same host are closed.
    Fresh,
}

/// Sends a request; gives the answer when its header is in.
///
/// A kept connection may have been closed by the receiver before it could see the whole request. Then the
/// same request goes over a fresh one: without this, a receiver that restarts would cost every queue an attempt.
pub fn send(
    agent: &Agent,
    request: http::Request<()>,
    body: &[u8],
    deadline: Instant,
) -> Result<http::Response<Body>, Error> {
    match run(agent, request.clone(), body, deadline, Connections::Kept) {
        Err(error) if failure::is_stale(&error) => run(agent, request, body, deadline, Connections::Fresh),
        sent => sent,
    }
}

/// Without a body, GET and DELETE say nothing of one, while the others say that it is empty (RFC 9110,
/// section 8.6).
fn run(
    agent: &Agent,
    request: http::Request<()>,
    body: &[u8],
    deadline: Instant,
    connections: Connections,
) -> Result<http::Response<Body>, Error> {
    let bodiless = matches!(*request.method(), http::Method::GET | http::Method::DELETE);
    let parts = output_bytes(request.headers(), body.len());
    if body.is_empty() && bodiless {
        run_with(agent, request, parts, deadline, connections)
    } else {
        run_with(agent, request.map(|()| body), parts, deadline, connections)
    }
}

fn run_with(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    parts: usize,
    deadline: Instant,
    connections: Connections,
) -> Result<http::Response<Body>, Error> {
    let timeout = deadline.saturating_duration_since(Instant::now());
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

/// Bytes of a line of a header beside name and value: the colon, a space, the line's end, and the empty line,
/// which ureq writes together with the last.
const AROUND: usize = 6;

/// How long the parts are in which a request is written: any line of its header must fit into one.
fn output_bytes(headers: &HeaderMap, body_bytes: usize) -> usize {
    let lines = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + AROUND);
    lines
        .chain([body_bytes.min(MOST_OUTPUT), LEAST_OUTPUT])
        .max()
        .unwrap_or(MOST_OUTPUT)
}
