//! Tests of queues, as sessions ask for them: an attempt that is of no message, and counts for nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::Leader;
use crate::deliver::{Attempt, Job};
use crate::domain::headers::Headers;
use crate::domain::message::{Body, Message};
use crate::domain::queue::Queue;
use crate::domain::scheduler::MessageId;
use crate::domain::trial::{Answer, Question};
use crate::session::{self, Failure};
use crate::wake::{self, Ticket};
use crate::{store, wake::Trials};

/// Tests that are on the wire, with their webhook ids, by the ids that their attempts have in place of that of a
/// message.
pub type Trying = HashMap<MessageId, (Ticket, String)>;

impl Leader {
    /// Whether a session waits to be heard.
    pub fn is_asked_to_try(&self) -> bool {
        trials().is_some_and(|trials| trials.is_asked(self.database_oid()))
    }

    /// Begins the tests that sessions ask for.
    pub fn begin_trials(&mut self) {
        let Some(trials) = trials() else { return };
        for (ticket, question) in trials.take(self.database_oid()) {
            let job = Question::decode(&question)
                .ok_or_else(|| Answer::impossible("the question cannot be read", "Ask again."))
                .and_then(|question| {
                    // A session that gave up leaves its slot to the next one, and its test on the wire.
                    if self.trying.len() >= Trials::MOST {
                        return Err(Answer::impossible(
                            "as many tests are under way as there can be",
                            "Ask again when some of them have ended.",
                        ));
                    }
                    self.trial(question)
                });
            match job {
                Ok(job) => {
                    let (id, webhook_id) = (job.message.id, job.message.webhook_id.clone());
                    self.trying.insert(id, (ticket, webhook_id));
                    self.pool.submit(job);
                }
                Err(answer) => trials.answer(ticket, &answer.encode().unwrap_or_default()),
            }
        }
    }

    /// Gives back the result of a test; of other attempts it gives the attempt.
    pub fn end_trial(&mut self, attempt: Attempt) -> Option<Attempt> {
        if self.trying.is_empty() {
            return Some(attempt);
        }
        let Some((ticket, webhook_id)) = self.trying.remove(&attempt.message_id) else {
            return Some(attempt);
        };
        let Attempt {
            outcome,
            duration,
            response,
            ..
        } = attempt;
        let answer = Answer::of(webhook_id, &outcome, duration, &response.body, response.truncated);
        give(ticket, &answer);
        None
    }

    /// Whether this was a test, of which no attempt could be made.
    pub fn give_up_trial(&mut self, id: MessageId) -> bool {
        let trial = self.trying.remove(&id);
        if let Some((ticket, _)) = &trial {
            let answer = Answer::impossible("the worker has no socket for it now", "Try again.");
            give(*ticket, &answer);
        }
        trial.is_some()
    }

    /// The queue as it is committed, whether it is paused or not.
    fn trial(&mut self, question: Question) -> Result<Job, Answer> {
        let queue = self.queue_to_try(question.queue_id)?;
        let timeout = question
            .timeout
            .map_or(queue.timeout, |asked| asked.min(queue.timeout));
        let headers = Headers::from_stored_json(&question.headers);
        let headers = headers.map_err(|invalid| Answer::impossible(invalid.message, &invalid.hint))?;
        let now = session::now();
        let body = if question.body.is_empty() {
            Body::Empty
        } else {
            Body::Text(question.body)
        };
        Ok(Job {
            queue: Arc::new(Queue { timeout, ..queue }),
            message: Message {
                id: self.free_id(),
                webhook_id: format!("msg_{}_test{}", self.webhook_key, now.0),
                attempt: 1,
                due_at: now,
                expires_at: None,
                waited_since: None,
                stored_at: 0,
                headers,
                body,
            },
        })
    }

    fn queue_to_try(&self, id: i64) -> Result<Queue, Answer> {
        let loaded = self.transaction(c"pg_hooks: loading a queue to be tested", |client| {
            store::load_queues(client, &[id])
        });
        let failed = |failure: Failure| {
            let message = format!("the worker could not load the queue: {failure}");
            Answer::impossible(message, "Try again.")
        };
        match loaded.map_err(failed)?.into_iter().next().map(|row| row.policy) {
            Some(Ok(queue)) => Ok(queue),
            Some(Err(problem)) => Err(Answer::impossible(
                format!("the queue is not valid: {problem}"),
                "Correct it with hooks.alter_queue().",
            )),
            None => Err(Answer::impossible(
                "the worker does not see the queue yet",
                "Commit the transaction that made it, and test it then.",
            )),
        }
    }

    /// An id that no message in flight has.
    fn free_id(&self) -> MessageId {
        let is_free =
            |id: &MessageId| !self.trying.contains_key(id) && self.scheduler.queue_of(*id).is_none();
        (MessageId::MIN..).find(is_free).unwrap_or(MessageId::MIN)
    }

    fn database_oid(&self) -> u32 {
        self.database.oid.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn give(ticket: Ticket, answer: &Answer) {
    if let Some(trials) = trials() {
        trials.answer(ticket, &answer.encode().unwrap_or_default());
    }
}

fn trials() -> Option<&'static Trials> {
    wake::shared().map(|shared| &shared.trials)
}
