//! Recording what came of attempts: all of a batch in one transaction.
//!
//! Every change is fenced by (id, attempts finished): a late result for a message that was cancelled,
//! deleted or redriven meanwhile changes nothing.

use std::collections::HashSet;
use std::time::Duration;

use pgrx::datum::{DatumWithOid, JsonString};
use pgrx::spi::SpiClient;

use super::dead_letter::{Buried, Grave, bury};
use super::tally::{Logged, log_tally};
use super::{column, optional, statement};
use crate::deliver::Attempt;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{MessageId, Verdict};
use crate::domain::tally::{Counts, Failed, Tally};
use crate::domain::time::Timestamp;
use crate::session::{Failure, Value, rows_of, to_postgres, value};

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
       using unnest($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], $6::boolean[])
         as r(id, attempt, attempts, status, keep)
       where m.id = r.id
         and m.attempt = r.attempt
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

statement!(
    RETRY,
    "update hooks.message as m
     set attempt = r.attempt,
         due_at = r.due_at,
         deaths = 0
     from unnest($1::bigint[], $2::integer[], $3::timestamptz[]) as r(id, attempt, due_at)
     where m.id = r.id
       and m.attempt = r.attempt - 1
     returning m.id"
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
    /// Messages that wait for their next attempt. One that was to be retried and is not among them is
    /// gone: cancelled, or deleted.
    pub retrying: HashSet<MessageId>,
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

/// Records a batch.
pub fn record(client: &mut SpiClient<'_>, records: &[Record]) -> Result<Recorded, Failure> {
    write_attempts(client, records)?;
    let delivered = finish(client, records, Verdict::Delivered, "delivered")?;
    let expired = finish(client, records, Verdict::Expired, "expired")?;
    let retrying = schedule_retries(client, records)?;
    let graves: Vec<Grave> = records
        .iter()
        .filter(|r| r.verdict == Verdict::Dead)
        .map(grave)
        .collect();
    let buried = if graves.is_empty() {
        Vec::new()
    } else {
        bury(client, &graves)?
    };
    let mut tally = Tally::default();
    for record in records {
        let counts = tally.of(record.queue_id);
        count_attempt(counts, &record.attempt);
        let id = record.attempt.message_id;
        match record.verdict {
            Verdict::Delivered if delivered.contains(id) => count_delivered(counts, &record.attempt),
            Verdict::Expired if expired.contains(id) => counts.expired += 1,
            _ => {}
        }
    }
    for letter in &buried {
        tally.of(letter.queue_id).dead += 1;
    }
    Ok(Recorded {
        buried,
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

/// Moves the messages of this verdict to the log.
fn finish(
    client: &mut SpiClient<'_>,
    records: &[Record],
    verdict: Verdict,
    state: &str,
) -> Result<Finished, Failure> {
    let finished: Vec<&Record> = records.iter().filter(|r| r.verdict == verdict).collect();
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
    ];
    run_finished(client, &arguments)
}

fn run_finished(client: &mut SpiClient<'_>, arguments: &[DatumWithOid<'_>]) -> Result<Finished, Failure> {
    let mut rows = FINISHED.with(|statement| statement.run(client, arguments))?;
    let only: Option<Vec<i64>> = rows.next().map_or(Ok(None), |row| optional(&row, 1))?;
    Ok(only.map_or(Finished::All, |ids| Finished::Only(ids.into_iter().collect())))
}

/// Ends messages whose time is over, each with the attempts it had, without another attempt. The last
/// of each is whether it stays in the log as it was.
pub fn expire(
    client: &mut SpiClient<'_>,
    messages: &[(QueueId, MessageId, u32, bool)],
) -> Result<Option<Logged>, Failure> {
    let attempts: Vec<i32> = messages
        .iter()
        .map(|(_, _, attempts, _)| i32::try_from(*attempts).unwrap_or(i32::MAX))
        .collect();
    let arguments = [
        messages
            .iter()
            .map(|(_, id, _, _)| *id)
            .collect::<Vec<_>>()
            .into(),
        attempts.clone().into(),
        attempts.into(),
        vec![None::<i16>; messages.len()].into(),
        "expired".into(),
        messages
            .iter()
            .map(|(_, _, _, keep)| *keep)
            .collect::<Vec<_>>()
            .into(),
    ];
    let expired = run_finished(client, &arguments)?;
    let mut tally = Tally::default();
    for (queue_id, id, _, _) in messages {
        if expired.contains(*id) {
            tally.of(*queue_id).expired += 1;
        }
    }
    log_tally(client, tally)
}

fn schedule_retries(client: &mut SpiClient<'_>, records: &[Record]) -> Result<HashSet<MessageId>, Failure> {
    let retries: Vec<(&Record, _)> = records
        .iter()
        .filter_map(|r| match r.verdict {
            Verdict::RetryAt(due_at) => Some((r, to_postgres(due_at))),
            _ => None,
        })
        .collect();
    if retries.is_empty() {
        return Ok(HashSet::new());
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
    ];
    let rows = RETRY.with(|statement| statement.run(client, &arguments))?;
    rows.into_iter().map(|row| column(&row, 1)).collect()
}

fn grave(record: &Record) -> Grave {
    let outcome = &record.attempt.outcome;
    Grave {
        id: record.attempt.message_id,
        due_at: Timestamp::MIN,
        attempt: record.number() - 1,
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
