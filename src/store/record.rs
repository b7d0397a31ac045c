//! Recording what came of attempts: all of a batch in one transaction.
//!
//! Every change is fenced by (id, when it was stored, attempts finished): a late result for a message that was
//! cancelled, deleted or redriven meanwhile, or for an earlier one of the same id, changes nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use pgrx::datum::{DatumWithOid, JsonString};
use pgrx::spi::{SpiClient, SpiTupleTable};

use super::dead_letter::{Buried, Grave, bury};
use super::expiry::spare_lasting;
use super::tally::{Logged, log_tally};
use super::{column, optional, statement};
use crate::deliver::Attempt;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{MessageId, Verdict};
use crate::domain::tally::{Counts, Failed, Tally};
use crate::domain::time::Timestamp;
use crate::session::{Failure, Value, from_micros, from_postgres, rows_of, to_postgres, value};

/// The result of an attempt with what was decided about it.
pub struct Record {
    pub queue_id: QueueId,
    pub attempt: Attempt,
    pub verdict: Verdict,
    /// Whether the message stays in the log as it was, once it is finished.
    pub keep_body: bool,
    /// Whether the attempt itself is recorded.
    pub keep_attempt: bool,
}

impl Record {
    fn number(&self) -> i32 {
        i32::try_from(self.attempt.attempt).unwrap_or(i32::MAX)
    }

    fn status(&self) -> Option<i16> {
        self.attempt
            .outcome
            .status()
            .and_then(|status| i16::try_from(status).ok())
    }
}

statement!(
    FINISHED,
    "with gone as (
       delete from hooks.message as m
       using unnest($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], $6::boolean[], $7::timestamptz[])
         as r(id, attempt, attempts, status, keep, stored_at)
       where m.id = r.id
         and m.attempt = r.attempt
         and m.created_at = r.stored_at
       returning m.id, m.queue_id, m.created_at, m.due_at, m.event_id, r.attempts, r.status, r.keep,
                 case when r.keep then m.headers end as headers,
                 case when r.keep then m.body end as body,
                 case when r.keep then m.body_bytes end as body_bytes,
                 case when r.keep then m.ordering_key end as ordering_key,
                 case when r.keep then m.envelope end as envelope
     ), logged as (
       insert into hooks.message_log (id, queue_id, state, attempts, last_status, created_at, due_at, finished_at,
         event_id, kept, headers, body, body_bytes, ordering_key, envelope)
       select g.id, g.queue_id, $5, g.attempts, g.status, g.created_at, g.due_at, clock_timestamp(), g.event_id,
              g.keep, g.headers, g.body, g.body_bytes, g.ordering_key, g.envelope
       from gone as g
       returning id
     )
     select case when count(*) < cardinality($1) then coalesce(array_agg(l.id), '{}') end
     from logged as l"
);

// Who put a message off while it was on the wire meant the next attempt.
statement!(
    RETRY,
    "update hooks.message as m
     set attempt = r.attempt,
         due_at = case when m.due_at = r.was_due_at then r.due_at else greatest(r.due_at, m.due_at) end,
         deaths = 0
     from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
       as r(id, attempt, due_at, stored_at, was_due_at)
     where m.id = r.id
       and m.attempt = r.attempt - 1
       and m.created_at = r.stored_at
     returning m.id, m.queue_id, m.due_at"
);

statement!(
    ATTEMPTS,
    "insert into hooks.attempt select r.* from unnest($1) as r"
);

/// What recording a batch did.
#[derive(Default)]
pub struct Recorded {
    /// Messages that became dead letters.
    pub buried: Vec<Buried>,
    /// Messages that were no longer as they were sent: cancelled, deleted, changed. Nothing was done with them. With
    /// those that are still there, their queues and when they are due.
    pub changed: HashMap<MessageId, Option<(QueueId, Timestamp)>>,
    /// Messages that are retried, with the queues that they are in by now and when they are due.
    pub retrying: HashMap<MessageId, (QueueId, Timestamp)>,
    /// What was counted.
    pub counted: Option<Logged>,
}

/// Which of the messages that were to be finished were still there, as they were when read.
enum Finished {
    All,
    Only(HashSet<MessageId>),
}

impl Finished {
    fn contains(&self, id: MessageId) -> bool {
        match self {
            Finished::All => true,
            Finished::Only(ids) => ids.contains(&id),
        }
    }
}

/// Records a batch. Verdicts that a change of the message has overtaken become what they are to be.
pub fn record(client: &mut SpiClient<'_>, records: &mut [Record]) -> Result<Recorded, Failure> {
    spare_lasting(client, records)?;
    let records = &*records;
    write_attempts(client, records)?;
    let is_over = |verdict| matches!(verdict, Verdict::Expired { is_buried: false, .. });
    let delivered = finish(
        client,
        records,
        |verdict| verdict == Verdict::Delivered,
        "delivered",
    )?;
    let expired = finish(client, records, is_over, "expired")?;
    let retrying = schedule_retries(client, records)?;
    let graves: Vec<Grave> = records.iter().filter(|r| r.verdict.buries()).map(grave).collect();
    let buried = if graves.is_empty() {
        Vec::new()
    } else {
        bury(client, &graves)?
    };
    let dead: HashSet<MessageId> = buried.iter().map(|letter| letter.id).collect();
    let mut tally = Tally::default();
    let mut changed = HashMap::new();
    for record in records {
        let counts = tally.of(record.queue_id);
        count_attempt(counts, &record.attempt);
        let id = record.attempt.message_id;
        let is_done = match record.verdict {
            Verdict::Delivered => delivered.contains(id),
            Verdict::RetryAt(_) => retrying.contains_key(&id),
            verdict if verdict.buries() => dead.contains(&id),
            _ => expired.contains(id),
        };
        match record.verdict {
            _ if !is_done => {
                changed.insert(id, None);
            }
            Verdict::Delivered => count_delivered(counts, &record.attempt),
            verdict if is_over(verdict) => counts.expired += 1,
            _ => {}
        }
    }
    for letter in &buried {
        tally.of(letter.queue_id).dead += 1;
    }
    if !changed.is_empty() {
        for (id, place) in still_there(client, changed.keys().copied().collect())? {
            changed.insert(id, Some(place));
        }
    }
    Ok(Recorded {
        buried,
        changed,
        retrying,
        counted: log_tally(client, tally)?,
    })
}

fn count_attempt(counts: &mut Counts, attempt: &Attempt) {
    counts.attempts += 1;
    counts.duration.record(attempt.duration);
    let outcome = &attempt.outcome;
    if let Some(class) = outcome.error_class() {
        counts.failed += 1;
        counts.last_failure = Some(Failed {
            at: attempt.attempted_at,
            status: outcome.status(),
            class,
            text: outcome.error_text().map(storable).unwrap_or_default(),
        });
    }
}

fn count_delivered(counts: &mut Counts, attempt: &Attempt) {
    let answered_at = attempt.attempted_at.after(attempt.duration);
    counts.delivered += 1;
    counts.last_success = counts.last_success.max(Some(answered_at));
    if let Some(since) = attempt.waited_since {
        counts.latency.record(answered_at.since(since));
    }
}

/// Moves the messages of such a verdict to the log.
fn finish(
    client: &mut SpiClient<'_>,
    records: &[Record],
    ends: impl Fn(Verdict) -> bool,
    state: &str,
) -> Result<Finished, Failure> {
    let finished: Vec<&Record> = records.iter().filter(|r| ends(r.verdict)).collect();
    if finished.is_empty() {
        return Ok(Finished::All);
    }
    let arguments = [
        finished
            .iter()
            .map(|r| r.attempt.message_id)
            .collect::<Vec<_>>()
            .into(),
        finished.iter().map(|r| r.number() - 1).collect::<Vec<_>>().into(),
        finished.iter().map(|r| r.number()).collect::<Vec<_>>().into(),
        finished.iter().map(|r| r.status()).collect::<Vec<_>>().into(),
        state.into(),
        finished.iter().map(|r| r.keep_body).collect::<Vec<_>>().into(),
        finished
            .iter()
            .map(|r| from_micros(r.attempt.stored_at))
            .collect::<Vec<_>>()
            .into(),
    ];
    run_finished(client, &arguments)
}

fn run_finished(client: &mut SpiClient<'_>, arguments: &[DatumWithOid<'_>]) -> Result<Finished, Failure> {
    let mut rows = FINISHED.with(|statement| statement.run(client, arguments))?;
    let only: Option<Vec<i64>> = rows.next().map_or(Ok(None), |row| optional(&row, 1))?;
    Ok(only.map_or(Finished::All, |ids| Finished::Only(ids.into_iter().collect())))
}

/// A message whose time is over.
pub struct Overdue {
    pub queue_id: QueueId,
    pub id: MessageId,
    pub attempts: u32,
    /// `created_at`, in PostgreSQL's microseconds.
    pub stored_at: i64,
    /// Whether it stays in the log as it was.
    pub keep_body: bool,
}

/// Ends messages whose time is over, each with the attempts it had, without another attempt.
pub fn expire(client: &mut SpiClient<'_>, messages: &[&Overdue]) -> Result<Option<Logged>, Failure> {
    let attempts: Vec<i32> = messages
        .iter()
        .map(|message| i32::try_from(message.attempts).unwrap_or(i32::MAX))
        .collect();
    let arguments = [
        messages
            .iter()
            .map(|message| message.id)
            .collect::<Vec<_>>()
            .into(),
        attempts.clone().into(),
        attempts.into(),
        vec![None::<i16>; messages.len()].into(),
        "expired".into(),
        messages
            .iter()
            .map(|message| message.keep_body)
            .collect::<Vec<_>>()
            .into(),
        messages
            .iter()
            .map(|message| from_micros(message.stored_at))
            .collect::<Vec<_>>()
            .into(),
    ];
    let expired = run_finished(client, &arguments)?;
    let mut tally = Tally::default();
    for message in messages {
        if expired.contains(message.id) {
            tally.of(message.queue_id).expired += 1;
        }
    }
    log_tally(client, tally)
}

/// The messages that are retried, with the queues that they are in by now and when they are due.
fn schedule_retries(
    client: &mut SpiClient<'_>,
    records: &[Record],
) -> Result<HashMap<MessageId, (QueueId, Timestamp)>, Failure> {
    let retries: Vec<(&Record, _)> = records
        .iter()
        .filter_map(|r| match r.verdict {
            Verdict::RetryAt(due_at) => Some((r, to_postgres(due_at))),
            _ => None,
        })
        .collect();
    if retries.is_empty() {
        return Ok(HashMap::new());
    }
    let arguments = [
        retries
            .iter()
            .map(|(r, _)| r.attempt.message_id)
            .collect::<Vec<_>>()
            .into(),
        retries.iter().map(|(r, _)| r.number()).collect::<Vec<_>>().into(),
        retries
            .iter()
            .map(|(_, due_at)| *due_at)
            .collect::<Vec<_>>()
            .into(),
        retries
            .iter()
            .map(|(r, _)| from_micros(r.attempt.stored_at))
            .collect::<Vec<_>>()
            .into(),
        retries
            .iter()
            .map(|(r, _)| to_postgres(r.attempt.due_at))
            .collect::<Vec<_>>()
            .into(),
    ];
    let rows = RETRY.with(|statement| statement.run(client, &arguments))?;
    places(rows)
}

statement!(
    CHANGED,
    "select m.id, m.queue_id, m.due_at from hooks.message as m where m.id = any ($1)"
);

fn still_there(
    client: &mut SpiClient<'_>,
    ids: Vec<MessageId>,
) -> Result<HashMap<MessageId, (QueueId, Timestamp)>, Failure> {
    places(CHANGED.with(|statement| statement.run(client, &[ids.into()]))?)
}

/// Messages with their queues and when they are due.
fn places(rows: SpiTupleTable<'_>) -> Result<HashMap<MessageId, (QueueId, Timestamp)>, Failure> {
    rows.map(|row| {
        let place = (column(&row, 2)?, from_postgres(column(&row, 3)?));
        Ok((column(&row, 1)?, place))
    })
    .collect()
}

fn grave(record: &Record) -> Grave {
    let outcome = &record.attempt.outcome;
    Grave {
        id: record.attempt.message_id,
        due_at: Timestamp::MIN,
        attempt: record.number() - 1,
        stored_at: record.attempt.stored_at,
        attempts: record.number(),
        last_status: record.status(),
        error_class: outcome.error_class().unwrap_or("fault").to_owned(),
        last_error: outcome.error_text().map(storable),
    }
}

fn write_attempts(client: &mut SpiClient<'_>, records: &[Record]) -> Result<(), Failure> {
    let mut kept = records.iter().filter(|r| r.keep_attempt).peekable();
    if kept.peek().is_none() {
        return Ok(());
    }
    let rows = rows_of(c"hooks", c"attempt", kept.map(attempt_row))?;
    ATTEMPTS.with(|statement| statement.run(client, &[rows]))?;
    Ok(())
}

/// The columns of hooks.attempt.
fn attempt_row(record: &Record) -> [Value; 20] {
    let attempt = &record.attempt;
    let (outcome, trace) = (&attempt.outcome, &attempt.trace);
    [
        value(attempt.message_id),
        value(record.number()),
        value(record.queue_id),
        value(to_postgres(attempt.attempted_at)),
        value(attempt.duration.as_secs_f64() * 1000.0),
        value(record.status()),
        value(outcome.error_class()),
        value(outcome.error_text().map(storable)),
        value(response(attempt)),
        value(attempt.response.truncated),
        value(attempt.method.as_str()),
        value(attempt.url.as_str()),
        value(json(trace.request_headers.as_ref())),
        value(json(trace.response_headers.as_ref())),
        value(trace.address.map(|address| address.to_string())),
        value(trace.reused),
        value(millis(trace.resolve)),
        value(millis(trace.connect)),
        value(millis(trace.tls)),
        value(millis(trace.first_byte)),
    ]
}

/// Text that was made as JSON, and so needs no further look.
fn json(text: Option<&String>) -> Option<JsonString> {
    text.cloned().map(JsonString)
}

fn millis(part: Option<Duration>) -> Option<f32> {
    part.map(|part| part.as_secs_f32() * 1000.0)
}

/// Null when there was no answer; an answer without a body is an empty one.
fn response(attempt: &Attempt) -> Option<&[u8]> {
    attempt.outcome.status().map(|_| attempt.response.body.as_slice())
}

/// Text that every database encoding can hold and no NUL is in.
pub fn storable(text: String) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii() && !c.is_ascii_control() {
                c
            } else {
                '?'
            }
        })
        .collect()
}
