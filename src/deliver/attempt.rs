//! One job made into one attempt, whatever happens on the way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::client::{Client, Group};
use super::exchange::{Exchange, Shortage};
use super::trace::{self, Trace};
use super::{Attempt, Job, Response, thread};
use crate::domain::exposure;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::fault;

/// Makes the attempt. `attempted_at` is the present time. A panic on the way is a fault of this attempt and of nothing
/// else.
///
/// # Errors
/// There was no descriptor to make it with.
pub fn perform(
    group: &Group,
    client: &Arc<Client>,
    job: &Job,
    attempted_at: Timestamp,
) -> Result<Attempt, Shortage> {
    let started = Instant::now();
    trace::take();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        if fault::strikes_at("attempt: die", job.message.body.bytes()) {
            // As an error in memory would end it.
            std::process::abort();
        }
        let auth = job.queue.auth.as_ref().ok();
        let agent = match auth.and_then(|auth| auth.certificate.as_ref()) {
            Some(certificate) => client.agent_with(certificate),
            None => group.agent(client),
        };
        let exchange = Exchange {
            agent: &agent,
            tokens: client.tokens(),
            capture_limit: client.capture_limit(),
            job,
            now: attempted_at,
            deadline: started + job.queue.timeout,
        };
        exchange.run()
    }));
    let (outcome, response) = caught.unwrap_or_else(|_| {
        let detail = format!("panic at {}", thread::panicked_at());
        Ok((Outcome::Fault { detail }, Response::default()))
    })?;
    Ok(Attempt {
        message_id: job.message.id,
        attempt: job.message.attempt,
        outcome,
        attempted_at,
        waited_since: job.message.waited_since,
        due_at: job.message.due_at,
        stored_at: job.message.stored_at,
        duration: started.elapsed(),
        response,
        method: job.queue.method,
        url: exposure::url(&job.queue.endpoint),
        trace: trace::take(),
    })
}

impl Attempt {
    /// An attempt that failed here before it began.
    pub(super) fn fault(job: &Job, detail: String) -> Attempt {
        Attempt {
            message_id: job.message.id,
            attempt: job.message.attempt,
            outcome: Outcome::Fault { detail },
            attempted_at: now(),
            waited_since: job.message.waited_since,
            due_at: job.message.due_at,
            stored_at: job.message.stored_at,
            duration: Duration::ZERO,
            response: Response::default(),
            method: job.queue.method,
            url: exposure::url(&job.queue.endpoint),
            trace: Trace::default(),
        }
    }
}

pub fn now() -> Timestamp {
    let elapsed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(0).after(elapsed)
}
