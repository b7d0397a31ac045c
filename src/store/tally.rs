//! Counts: writing them with what they count, and folding them into the tables of statistics.

use std::collections::BTreeMap;

use pgrx::spi::SpiClient;

use super::{column, statement};
use crate::domain::queue::QueueId;
use crate::domain::tally::{Counts, Failed, Tally};
use crate::domain::time::Timestamp;
use crate::session::{self, Failure, from_postgres, to_postgres};

/// What was counted in a transaction, to be kept until it is folded.
#[derive(Debug)]
pub struct Logged {
    /// In `hooks.tally_log`.
    pub id: i64,
    pub at: Timestamp,
    pub tally: Tally,
}

statement!(
    LOG,
    "insert into hooks.tally_log (counted_at, tally) values ($1, $2) returning id"
);

/// Stores counts, in the transaction of what they count. `None` when nothing was counted.
pub fn log_tally(client: &mut SpiClient<'_>, tally: Tally) -> Result<Option<Logged>, Failure> {
    if tally.is_empty() {
        return Ok(None);
    }
    let at = session::now();
    let arguments = [to_postgres(at).into(), tally.to_bytes().into()];
    let rows = LOG.with(|statement| statement.run(client, &arguments))?;
    let id = rows.into_iter().next().map(|row| column(&row, 1)).transpose()?;
    Ok(id.map(|id| Logged { id, at, tally }))
}

statement!(
    UNFOLDED,
    "select l.id, l.counted_at, l.tally from hooks.tally_log as l where l.id < $1 order by l.id"
);

/// Counts before this id, which another leader logged and did not fold. Such as cannot be read are empty.
pub fn unfolded(client: &mut SpiClient<'_>, before: i64) -> Result<Vec<Logged>, Failure> {
    let rows = UNFOLDED.with(|statement| statement.read(client, &[before.into()]))?;
    rows.into_iter()
        .map(|row| {
            let bytes: Vec<u8> = column(&row, 3)?;
            Ok(Logged {
                id: column(&row, 1)?,
                at: from_postgres(column(&row, 2)?),
                tally: Tally::from_bytes(&bytes).unwrap_or_default(),
            })
        })
        .collect()
}

// A sum that is too large for its column stays as large as it can be, so that folding goes on.
statement!(
    TOTALS,
    "insert into hooks.queue_total as t (queue_id, attempts, failed, delivered, dead, expired,
       latency_micros, duration_micros, last_success_at, last_failure_at, last_status, last_error_class, last_error)
     select *
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
       $7::bigint[], $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::text[], $13::text[])
     on conflict (queue_id) do update
     set attempts = t.attempts + excluded.attempts,
         failed = t.failed + excluded.failed,
         delivered = t.delivered + excluded.delivered,
         dead = t.dead + excluded.dead,
         expired = t.expired + excluded.expired,
         latency_micros = least(t.latency_micros::numeric + excluded.latency_micros, 9223372036854775807)::bigint,
         duration_micros = least(t.duration_micros::numeric + excluded.duration_micros, 9223372036854775807)::bigint,
         last_success_at = coalesce(excluded.last_success_at, t.last_success_at),
         last_failure_at = coalesce(excluded.last_failure_at, t.last_failure_at),
         last_status = case when excluded.last_failure_at is null then t.last_status else excluded.last_status end,
         last_error_class = coalesce(excluded.last_error_class, t.last_error_class),
         last_error = coalesce(excluded.last_error, t.last_error)"
);

statement!(
    MINUTES,
    "insert into hooks.tally as t (queue_id, span, at, attempts, failed, delivered, dead, expired,
       latency_micros, duration_micros, latency, duration)
     select c.queue_id, 'minute', c.at, c.attempts, c.failed, c.delivered, c.dead, c.expired,
            c.latency_micros, c.duration_micros, c.latency, c.duration
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
       $7::bigint[], $8::bigint[], $9::timestamptz[], $10::bytea[], $11::bytea[])
       as c(queue_id, attempts, failed, delivered, dead, expired, latency_micros, duration_micros, at,
            latency, duration)
     on conflict (queue_id, span, at) do update
     set attempts = t.attempts + excluded.attempts,
         failed = t.failed + excluded.failed,
         delivered = t.delivered + excluded.delivered,
         dead = t.dead + excluded.dead,
         expired = t.expired + excluded.expired,
         latency_micros = least(t.latency_micros::numeric + excluded.latency_micros, 9223372036854775807)::bigint,
         duration_micros = least(t.duration_micros::numeric + excluded.duration_micros, 9223372036854775807)::bigint,
         latency = hooks.merge_histograms(array[t.latency, excluded.latency]),
         duration = hooks.merge_histograms(array[t.duration, excluded.duration])"
);

statement!(
    FOLDED,
    "delete from hooks.tally_log as l where l.id > $1 and l.id <= $2"
);

/// Adds counts of minutes to the tables, and removes the log of them: what lies behind `after`, up to `last`.
pub fn fold(
    client: &mut SpiClient<'_>,
    minutes: &BTreeMap<Timestamp, Tally>,
    after: i64,
    last: i64,
) -> Result<(), Failure> {
    let mut together = Tally::default();
    for (at, tally) in minutes {
        together.merge(tally);
        add_minutes(client, *at, &tally.with_all())?;
    }
    add_totals(client, &together.with_all())?;
    FOLDED.with(|statement| statement.run(client, &[after.into(), last.into()]))?;
    Ok(())
}

/// The numbers of some queues, as both statements take them.
macro_rules! numbers {
    ($counts:expr) => {
        [
            of($counts, |id, _| id).into(),
            of($counts, |_, c| stored(c.attempts)).into(),
            of($counts, |_, c| stored(c.failed)).into(),
            of($counts, |_, c| stored(c.delivered)).into(),
            of($counts, |_, c| stored(c.dead)).into(),
            of($counts, |_, c| stored(c.expired)).into(),
            of($counts, |_, c| stored(c.latency.micros)).into(),
            of($counts, |_, c| stored(c.duration.micros)).into(),
        ]
    };
}

fn of<T>(counts: &[(QueueId, Counts)], part: impl Fn(QueueId, &Counts) -> T) -> Vec<T> {
    counts.iter().map(|(id, counts)| part(*id, counts)).collect()
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn add_minutes(
    client: &mut SpiClient<'_>,
    at: Timestamp,
    counts: &[(QueueId, Counts)],
) -> Result<(), Failure> {
    let mut arguments = Vec::from(numbers!(counts));
    arguments.extend([
        of(counts, |_, _| to_postgres(at)).into(),
        of(counts, |_, c| c.latency.histogram.to_bytes()).into(),
        of(counts, |_, c| c.duration.histogram.to_bytes()).into(),
    ]);
    MINUTES.with(|statement| statement.run(client, &arguments))?;
    Ok(())
}

fn add_totals(client: &mut SpiClient<'_>, counts: &[(QueueId, Counts)]) -> Result<(), Failure> {
    fn last<T>(counts: &Counts, part: impl Fn(&Failed) -> T) -> Option<T> {
        counts.last_failure.as_ref().map(part)
    }
    let status = |failed: &Failed| failed.status.and_then(|status| i16::try_from(status).ok());
    let mut arguments = Vec::from(numbers!(counts));
    arguments.extend([
        of(counts, |_, c| c.last_success.map(to_postgres)).into(),
        of(counts, |_, c| last(c, |failed| to_postgres(failed.at))).into(),
        of(counts, |_, c| last(c, status).flatten()).into(),
        of(counts, |_, c| last(c, |failed| failed.class.to_owned())).into(),
        of(counts, |_, c| last(c, |failed| failed.text.clone())).into(),
    ]);
    TOTALS.with(|statement| statement.run(client, &arguments))?;
    Ok(())
}
