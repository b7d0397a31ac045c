//! Rows out: reading what is due and handing it to the I/O threads.

use std::collections::{HashMap, HashSet};

use pgrx::prelude::*;

use super::tallying::dead_among;
use super::{LOCK_POLL, Leader};
use crate::deliver::Job;
use crate::domain::message::Message;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{Admission, Answer, Candidate, Fetch, MAX_DEATHS, MessageId};
use crate::domain::time::Timestamp;
use crate::log;
use crate::session::{self, Client, Failure};
use crate::store::{self, Content, Fetched, Grave, Overdue, Row};

/// Contents of up to so many bytes are read with the row; larger ones when the row is sent.
const INLINE_BYTES: i32 = 8 << 10;
/// No contents with the row.
const KEYS_ONLY: i32 = -1;
/// Error class of what was not sent as its time was over.
const EXPIRED: &str = "expired";

impl Leader {
    /// Reads due rows into the free slots and hands them to the I/O threads.
    pub fn deliver(&mut self) -> Result<(), Failure> {
        let now = session::now();
        let fetches = self.scheduler.plan(now);
        if fetches.is_empty() {
            return Ok(());
        }
        let fetched = self.fetch(&fetches, now, INLINE_BYTES).or_else(|failure| {
            if !(failure.is_of_the_rows() || failure.is_of_size()) {
                return Err(failure);
            }
            session::uninterrupted(|| debug1!("pg_hooks reads rows without contents: {failure}"));
            self.fetch(&fetches, now, KEYS_ONLY)
        });
        let fetched = fetched.inspect_err(|_| {
            for fetch in &fetches {
                self.scheduler.unread(fetch);
            }
        })?;
        let admitted = self.admit(&fetches, fetched, now);
        self.send(admitted)
    }

    fn fetch(&self, fetches: &[Fetch], now: Timestamp, inline_bytes: i32) -> Result<Fetched, Failure> {
        self.transaction(c"pg_hooks: reading due messages", |client| {
            let fetched = store::fetch(client, fetches, now, inline_bytes, &self.webhook_key)?;
            let rows = fetched.rows.iter().chain(&fetched.heads);
            session::flush_commits(rows.map(|row| row.written_by));
            Ok(fetched)
        })
    }

    /// Lets the scheduler choose among the rows that were read.
    fn admit(&mut self, fetches: &[Fetch], fetched: Fetched, now: Timestamp) -> Vec<(Admission, Row)> {
        let mut rows_of = by_queue(fetched.rows);
        let mut heads_of = by_queue(fetched.heads);
        let next_due: HashMap<QueueId, Timestamp> = fetched.next_due.into_iter().collect();
        let mut admitted = Vec::new();
        for fetch in fetches {
            let heads = heads_of.remove(&fetch.queue_id).unwrap_or_default();
            let rows = rows_of.remove(&fetch.queue_id).unwrap_or_default();
            let answer = Answer {
                rows: &candidates(&rows),
                next_due: next_due.get(&fetch.queue_id).copied(),
                heads: &candidates(&heads),
            };
            let chosen = self.scheduler.admit(fetch, answer, now);
            let mut rows = heads.into_iter().chain(rows);
            for admission in chosen {
                // Admissions come in the order of the rows; rows in between were passed over.
                if let Some(row) = rows.find(|row| row.candidate.id == admission.id()) {
                    admitted.push((admission, row));
                }
            }
        }
        admitted
    }

    /// Sends what was admitted. Each part is done even if another fails.
    fn send(&mut self, admitted: Vec<(Admission, Row)>) -> Result<(), Failure> {
        let (admitted, read) = self.read_contents(admitted);
        let mut graves = Vec::new();
        let mut expired = Vec::new();
        let (mut claimed, mut free) = (Vec::new(), Vec::new());
        for (admission, row) in admitted {
            match (admission, &row.content) {
                (Admission::Bury(_), _) => graves.push(grave(&row, "worker_died", died(&row))),
                (Admission::Expire(_), _) if self.buries_expired(row.queue_id) => {
                    graves.push(grave(&row, EXPIRED, "its time was over".to_owned()));
                }
                (Admission::Expire(_), _) => {
                    let policy = self.scheduler.queue(row.queue_id);
                    let keep_body = policy.is_some_and(|queue| queue.keep_bodies);
                    expired.push((row.candidate.due_at, overdue(&row, keep_body)));
                }
                (_, Some(Err(problem))) => graves.push(grave(&row, "unreadable", problem.clone())),
                (Admission::ClaimAndSend(_), _) => claimed.push(row),
                (Admission::Send(_), _) => free.push(row),
            }
        }
        for row in free {
            self.submit(row);
        }
        let buried = self.bury(graves).and(self.expire(expired));
        let claimed = self.claim_and_submit(claimed);
        read.and(buried).and(claimed)
    }

    /// Reads the contents that did not come with the rows. Rows that are gone are released.
    fn read_contents(
        &mut self,
        mut admitted: Vec<(Admission, Row)>,
    ) -> (Vec<(Admission, Row)>, Result<(), Failure>) {
        let missing = |(admission, row): &(Admission, Row)| row.content.is_none() && admission.is_sent();
        let ids: Vec<i64> = admitted
            .iter()
            .filter(|a| missing(a))
            .map(|(a, _)| a.id())
            .collect();
        if ids.is_empty() {
            return (admitted, Ok(()));
        }
        let Contents {
            mut contents,
            too_large,
            failure,
        } = self.contents(ids);
        admitted.retain_mut(|(admission, row)| {
            if row.content.is_none() && admission.is_sent() {
                row.content = contents.remove(&admission.id());
                if too_large.contains(&admission.id()) {
                    self.wait_for_row(admission.id(), row.candidate.due_at);
                    return false;
                }
                if row.content.is_none() {
                    let again = failure.is_some().then_some(row.candidate.due_at);
                    self.scheduler.release(admission.id(), again);
                    return false;
                }
            }
            true
        });
        (admitted, failure.map_or(Ok(()), Err))
    }

    /// If a row cannot be read, the others are, and that one comes with the error.
    fn contents(&self, ids: Vec<i64>) -> Contents {
        let read = |ids: Vec<i64>| {
            self.transaction(c"pg_hooks: reading contents", |client| {
                store::read_contents(client, ids, &self.webhook_key)
            })
        };
        match read(ids.clone()) {
            Ok(contents) => {
                return Contents {
                    contents,
                    ..Contents::default()
                };
            }
            Err(failure) if !(failure.is_of_the_rows() || failure.is_of_size()) => {
                return Contents {
                    failure: Some(failure),
                    ..Contents::default()
                };
            }
            Err(_) => {}
        }
        let mut found = Contents::default();
        for id in ids {
            match read(vec![id]) {
                Ok(content) => found.contents.extend(content),
                Err(failure) if failure.is_of_memory() => {
                    log::rests(format_args!("message {id}"), LOCK_POLL.as_millis(), failure);
                    found.too_large.insert(id);
                }
                Err(failure) if failure.is_of_the_rows() || failure.is_of_size() => {
                    found.contents.insert(id, Err(failure.to_string()));
                }
                Err(failure) => {
                    found.failure = Some(failure);
                    break;
                }
            }
        }
        found
    }

    /// Counts a death for each before it is sent; the result takes it back. Rows that somebody has
    /// locked wait.
    fn claim_and_submit(&mut self, rows: Vec<Row>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.candidate.id).collect();
        let result = self.transaction(c"pg_hooks: claiming after an unclean end", |client| {
            store::claim(client, ids)
        });
        let (claimed, result) = match result {
            Ok(claimed) => (claimed, Ok(())),
            Err(failure) => (Default::default(), Err(failure)),
        };
        for row in rows {
            if claimed.contains(&row.candidate.id) {
                self.submit(row);
            } else {
                self.wait_for_row(row.candidate.id, row.candidate.due_at);
            }
        }
        result
    }

    fn buries_expired(&self, queue_id: QueueId) -> bool {
        self.scheduler
            .queue(queue_id)
            .is_some_and(|queue| queue.bury_expired)
    }

    /// Ends messages whose time is over; with each, when it was due. As for results, a row that cannot be moved
    /// is parked.
    fn expire(&mut self, expired: Vec<(Timestamp, Overdue)>) -> Result<(), Failure> {
        if expired.is_empty() {
            return Ok(());
        }
        let result = self.transaction(c"pg_hooks: ending expired messages", |client| {
            let messages = || expired.iter().map(|(_, message)| message);
            let mut left = store::locked(client, messages().map(|message| message.id).collect())?;
            left.extend(lasting(client, messages().map(|message| message.id), &left)?);
            let free: Vec<&Overdue> = messages().filter(|message| !left.contains(&message.id)).collect();
            let counted = store::expire(client, &free)?;
            Ok((left, counted))
        });
        if let Err(failure) = &result
            && failure.is_of_some(expired.len())
        {
            return self.try_halves(expired, failure, |(_, message)| message.id, Leader::expire);
        }
        for (due_at, message) in &expired {
            match &result {
                Ok((left, _)) if !left.contains(&message.id) => self.scheduler.release(message.id, None),
                _ => self.wait_for_row(message.id, *due_at),
            }
        }
        unless_locked(result.map(|(_, counted)| self.tallying.take(counted)))
    }

    /// Moves messages to the dead letters; a row that cannot be moved is parked.
    fn bury(&mut self, graves: Vec<Grave>) -> Result<(), Failure> {
        if graves.is_empty() {
            return Ok(());
        }
        let result = self.telling_transaction(c"pg_hooks: burying dead letters", |leader, client| {
            let mut left = store::locked(client, graves.iter().map(|grave| grave.id).collect())?;
            let expired = graves.iter().filter(|grave| grave.error_class == EXPIRED);
            left.extend(lasting(client, expired.map(|grave| grave.id), &left)?);
            let free: Vec<Grave> = graves
                .iter()
                .filter(|grave| !left.contains(&grave.id))
                .cloned()
                .collect();
            let buried = store::bury(client, &free)?;
            let told = leader.tell_of_dead(client, &buried)?;
            let counted = store::log_tally(client, dead_among(&buried))?;
            Ok(((left, buried, counted), told))
        });
        if let Err(failure) = &result
            && failure.is_of_some(graves.len())
        {
            return self.try_halves(graves, failure, |grave| grave.id, Leader::bury);
        }
        for grave in &graves {
            match &result {
                Ok((left, _, _)) if !left.contains(&grave.id) => self.scheduler.release(grave.id, None),
                _ => self.wait_for_row(grave.id, grave.due_at),
            }
        }
        unless_locked(result.map(|(_, buried, counted)| {
            self.tallying.take(counted);
            self.tell_buried(&buried);
        }))
    }

    fn submit(&mut self, row: Row) {
        let (candidate, waited_since) = (row.candidate, row.waited_since());
        let (Some(queue), Some(Ok((headers, body)))) = (self.scheduler.queue(row.queue_id), row.content)
        else {
            self.scheduler.release(candidate.id, Some(candidate.due_at));
            return;
        };
        let message = Message {
            id: candidate.id,
            webhook_id: format!("msg_{}_{}", self.webhook_key, candidate.id),
            attempt: candidate.attempt.saturating_add(1),
            due_at: candidate.due_at,
            expires_at: candidate.expires_at,
            waited_since,
            stored_at: row.stored_at,
            headers,
            body,
        };
        self.pool.submit(Job {
            queue: queue.clone(),
            message,
        });
    }
}

/// Contents of messages by id.
#[derive(Default)]
struct Contents {
    contents: HashMap<i64, Content>,
    /// There is no memory for these now.
    too_large: HashSet<i64>,
    /// Why not all others were read.
    failure: Option<Failure>,
}

/// Which of these messages, but for those that are locked, got more time since they were read.
fn lasting(
    client: &mut Client<'_>,
    messages: impl Iterator<Item = MessageId>,
    locked: &HashSet<MessageId>,
) -> Result<HashSet<MessageId>, Failure> {
    let now = session::now();
    let free = messages.filter(|id| !locked.contains(id));
    store::last_longer(client, free.map(|id| (id, now)))
}

/// That somebody has locked what was needed is no reason to rest.
fn unless_locked(result: Result<(), Failure>) -> Result<(), Failure> {
    result.or_else(|failure| match failure.code {
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => Ok(()),
        _ => Err(failure),
    })
}

fn by_queue(rows: Vec<Row>) -> HashMap<QueueId, Vec<Row>> {
    let mut by_queue: HashMap<QueueId, Vec<Row>> = HashMap::new();
    for row in rows {
        by_queue.entry(row.queue_id).or_default().push(row);
    }
    by_queue
}

fn candidates(rows: &[Row]) -> Vec<Candidate> {
    rows.iter().map(|row| row.candidate).collect()
}

fn grave(row: &Row, error_class: &str, last_error: String) -> Grave {
    let attempt = i32::try_from(row.candidate.attempt).unwrap_or(i32::MAX);
    Grave {
        id: row.candidate.id,
        due_at: row.candidate.due_at,
        stored_at: row.stored_at,
        attempt,
        attempts: attempt,
        last_status: None,
        error_class: error_class.to_owned(),
        last_error: Some(last_error),
    }
}

fn overdue(row: &Row, keep_body: bool) -> Overdue {
    Overdue {
        queue_id: row.queue_id,
        id: row.candidate.id,
        attempts: row.candidate.attempt,
        stored_at: row.stored_at,
        keep_body,
    }
}

fn died(row: &Row) -> String {
    let deaths = row.candidate.deaths + 1;
    format!("the worker died {deaths} times while it sent this message (limit {MAX_DEATHS})")
}
