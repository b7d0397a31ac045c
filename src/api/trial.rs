//! Testing a queue: asking the worker for one attempt, and waiting for what comes of it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use serde_json::Value;

use super::queue::validate_headers;
use crate::domain::trial::{Answer, MAX_BODY_BYTES, Question};
use crate::error::{Error, OrRaise};
use crate::wake;

/// For the worker to wake, and for a free thread, besides the time of the attempt.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether the worker is still there.
const LOOK: Duration = Duration::from_millis(500);

#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "pgrx reads the columns off the signature")]
fn try_queue(
    queue_id: i64,
    headers: &[u8],
    body: &[u8],
    timeout_us: i64,
) -> TableIterator<
    'static,
    (
        name!(webhook_id, String),
        name!(status, Option<i32>),
        name!(duration_ms, f64),
        name!(error_class, Option<String>),
        name!(error, Option<String>),
        name!(response, Option<Vec<u8>>),
        name!(truncated, bool),
    ),
> {
    let timeout = Duration::from_micros(u64::try_from(timeout_us).unwrap_or(0));
    let answer = question(queue_id, headers, body, timeout).and_then(|question| ask(&question, timeout));
    match answer.or_raise() {
        Answer::Attempted {
            webhook_id,
            status,
            duration,
            error_class,
            error,
            response,
            truncated,
        } => TableIterator::once((
            webhook_id,
            status.map(i32::from),
            duration.as_secs_f64() * 1000.0,
            error_class,
            error.map(crate::store::storable),
            status.map(|_| response),
            truncated,
        )),
        Answer::Impossible { message, hint } => Error::NotReady { message, hint }.raise(),
    }
}

fn question(queue_id: i64, headers: &[u8], body: &[u8], timeout: Duration) -> Result<Question, Error> {
    let headers = String::from_utf8_lossy(headers);
    validate_headers(&headers)?;
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::invalid(
            format!("body of a test must not exceed {MAX_BODY_BYTES} bytes"),
            "Send a message with hooks.send() to test larger ones.",
        ));
    }
    Ok(Question {
        queue_id,
        timeout: Some(timeout),
        headers: serde_json::from_str(&headers).unwrap_or(Value::Null),
        body: body.to_vec(),
    })
}

fn ask(question: &Question, timeout: Duration) -> Result<Answer, Error> {
    let too_long = || Error::invalid("headers of a test are too long", "Leave some of them out.");
    let bytes = question.encode().ok_or_else(too_long)?;
    let (Some(shared), Some(database)) = (wake::shared(), wake::my_database()) else {
        return Err(Error::not_ready(
            "pg_hooks is not loaded at server start, so there is no worker",
            "Add pg_hooks to shared_preload_libraries and restart the server.",
        ));
    };
    let leader = database.leader_pid.load(Ordering::Acquire);
    if leader == 0 {
        return Err(no_worker());
    }
    let (oid, patience) = (database.oid.load(Ordering::Relaxed), timeout + PATIENCE);
    let asked = shared.trials.ask(oid, &bytes, patience, wake::wall_clock());
    let asked = asked.ok_or_else(|| {
        Error::not_ready(
            "too many queues are being tested at the same time",
            "Try again when other tests have ended.",
        )
    })?;
    database.wake_leader();
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = asked.answer() {
            return Answer::decode(&answer)
                .ok_or_else(|| Error::not_ready("the answer of the worker cannot be read", "Try again."));
        }
        if database.leader_pid.load(Ordering::Acquire) != leader {
            return Err(Error::not_ready(
                "the worker ended during the test",
                "Try again; hooks.worker shows whether there is a new one.",
            ));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(silent(asked.is_taken()));
        }
        wake::wait_for_trial(left.min(LOOK));
    }
}

fn no_worker() -> Error {
    Error::not_ready(
        "no worker leads in this database, so nothing can be tested",
        "See hooks.health().",
    )
}

fn silent(taken: bool) -> Error {
    if taken {
        Error::not_ready(
            "the worker found no free thread for the test in time",
            "All hooks.max_in_flight slots may be waiting for receivers; try again.",
        )
    } else {
        Error::not_ready(
            "the worker did not take the test on in time",
            "It may be waiting for a lock; see pg_stat_activity, and try again.",
        )
    }
}
