//! Rows out: reading what is due and handing it to the I/O threads.

use std::collections::HashMap;

use super::Leader;
use crate::deliver::Job;
use crate::domain::message::Message;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{Admission, Fetch, MAX_DEATHS};
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::store::{self, Fetched, Grave, Row};

/// Bodies read by one fetch, in bytes; one more row may exceed it.
const BYTE_BUDGET: usize = 16 << 20;

impl Leader {
    /// Reads due rows into the free slots and hands them to the I/O threads.
    pub fn deliver(&mut self) -> Result<(), Failure> {
        let now = session::now();
        let fetches = self.scheduler.plan(now);
        if fetches.is_empty() {
            return Ok(());
        }
        let fetched = session::transaction(c"pg_hooks: reading due messages", |client| {
            let fetched = store::fetch(client, &fetches, now, BYTE_BUDGET)?;
            session::flush_commits(fetched.rows.iter().map(|row| row.written_by));
            Ok(fetched)
        });
        let fetched = fetched.inspect_err(|_| {
            for fetch in &fetches {
                self.scheduler.admit(fetch, &[], true, None, now);
            }
        })?;
        let admitted = self.admit(&fetches, fetched, now);
        self.send(admitted)
    }

    /// Lets the scheduler choose among the rows that were read.
    fn admit(&mut self, fetches: &[Fetch], fetched: Fetched, now: Timestamp) -> Vec<(Admission, Row)> {
        let mut by_queue: HashMap<QueueId, Vec<Row>> = HashMap::new();
        for row in fetched.rows {
            by_queue.entry(row.queue_id).or_default().push(row);
        }
        let next_due: HashMap<QueueId, Timestamp> = fetched.next_due.into_iter().collect();
        let mut admitted = Vec::new();
        for fetch in fetches {
            let rows = by_queue.remove(&fetch.queue_id).unwrap_or_default();
            let candidates: Vec<_> = rows.iter().map(|row| row.candidate).collect();
            let next = next_due.get(&fetch.queue_id).copied();
            let chosen = self.scheduler.admit(fetch, &candidates, fetched.cut, next, now);
            let mut rows = rows.into_iter();
            for admission in chosen {
                // Admissions come in the order of the rows; rows in between were passed over.
                if let Some(row) = rows.find(|row| row.candidate.id == admission.id()) {
                    admitted.push((admission, row));
                }
            }
        }
        admitted
    }

    fn send(&mut self, admitted: Vec<(Admission, Row)>) -> Result<(), Failure> {
        let mut graves = Vec::new();
        let (mut claimed, mut free) = (Vec::new(), Vec::new());
        for (admission, row) in admitted {
            match (admission, &row.content) {
                (Admission::Bury(_), _) => graves.push(grave(&row, "worker_died", died(&row))),
                (_, Err(problem)) => graves.push(grave(&row, "unreadable", problem.clone())),
                (Admission::ClaimAndSend(_), Ok(_)) => claimed.push(row),
                (Admission::Send(_), Ok(_)) => free.push(row),
            }
        }
        for row in free {
            self.submit(row);
        }
        self.bury(graves)?;
        self.claim_and_submit(claimed)
    }

    /// Counts a death for each before it is sent; the result takes it back.
    fn claim_and_submit(&mut self, rows: Vec<Row>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.candidate.id).collect();
        let claimed = session::transaction(c"pg_hooks: claiming after an unclean end", |client| {
            store::claim(client, ids)
        });
        if let Err(failure) = claimed {
            for row in &rows {
                self.scheduler
                    .release(row.candidate.id, Some(row.candidate.due_at));
            }
            return Err(failure);
        }
        for row in rows {
            self.submit(row);
        }
        Ok(())
    }

    fn bury(&mut self, graves: Vec<Grave>) -> Result<(), Failure> {
        if graves.is_empty() {
            return Ok(());
        }
        let result = session::transaction(c"pg_hooks: burying dead letters", |client| {
            store::bury(client, &graves)
        });
        let retry_at = result.is_err().then(session::now);
        for grave in &graves {
            self.scheduler.release(grave.id, retry_at);
        }
        self.tell_buried(&result?);
        Ok(())
    }

    fn submit(&mut self, row: Row) {
        let candidate = row.candidate;
        let (Some(queue), Ok((headers, body))) = (self.scheduler.queue(row.queue_id), row.content) else {
            self.scheduler.release(candidate.id, None);
            return;
        };
        let message = Message {
            id: candidate.id,
            webhook_id: format!("msg_{}_{}", self.webhook_key, candidate.id),
            attempt: candidate.attempt.saturating_add(1),
            due_at: candidate.due_at,
            headers,
            body,
        };
        self.pool.submit(Job {
            queue: queue.clone(),
            message,
        });
    }
}

fn grave(row: &Row, error_class: &str, last_error: String) -> Grave {
    let attempt = i32::try_from(row.candidate.attempt).unwrap_or(i32::MAX);
    Grave {
        id: row.candidate.id,
        attempt,
        attempts: attempt,
        last_status: None,
        error_class: error_class.to_owned(),
        last_error: Some(last_error),
    }
}

fn died(row: &Row) -> String {
    let deaths = row.candidate.deaths;
    format!("the worker died {deaths} times while it sent this message (limit {MAX_DEATHS})")
}
