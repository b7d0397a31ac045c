//! Queues, as the scheduler needs them.

use std::time::Duration;

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiHeapTupleData};

use super::secret::{load_auth, load_secrets};
use super::{column, optional, statement};
use crate::domain::auth::{Auth, assemble};
use crate::domain::breaker::BreakerPolicy;
use crate::domain::endpoint::Endpoint;
use crate::domain::headers::Headers;
use crate::domain::queue::{AcceptedStatuses, KeepAttempts, Method, Queue, QueueId};
use crate::domain::rate::RateLimit;
use crate::domain::retry::{Backoff, RetryPolicy, STANDARD_SCHEDULE};
use crate::domain::secret::Secrets;
use crate::domain::signature::{Scheme, Signing};
use crate::session::Failure;
use crate::vault::Vault;

/// A queue as stored.
pub struct QueueRow {
    pub id: QueueId,
    /// Changes with the row.
    pub version: pg_sys::TransactionId,
    /// It belongs to another database: this one is a copy.
    pub is_foreign: bool,
    /// Nobody paused it.
    pub is_active: bool,
    /// Its policy, or why the row cannot be used; then its messages wait.
    pub policy: Result<Queue, String>,
}

// The columns are read by number in `read`.
statement!(
    LOAD,
            "select q.id,
                    convert_to(q.url, case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end),
                    q.method,
                    convert_to(q.headers::text, case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end),
                    (extract(epoch from q.timeout) * 1000000)::bigint,
                    q.accepted_statuses, q.max_attempts,
                    (select array_agg((extract(epoch from d.delay) * 1000000)::bigint order by d.place)
                     from unnest(q.retry_schedule) with ordinality as d(delay, place)),
                    (extract(epoch from q.min_backoff) * 1000000)::bigint,
                    (extract(epoch from q.max_backoff) * 1000000)::bigint,
                    q.max_in_flight, q.active,
                    q.rate_limit, (extract(epoch from q.rate_interval) * 1000000)::bigint, q.rate_burst,
                    q.breaker_threshold::double precision,
                    (extract(epoch from q.breaker_window) * 1000000)::bigint, q.breaker_min_requests,
                    (extract(epoch from q.breaker_open_time) * 1000000)::bigint, q.breaker_max_probes,
                    q.ordering_policy = 'block', q.bury_expired, q.xmin,
                    q.keep_bodies, q.keep_attempts, q.signatures, q.home <> (select hooks.home())
             from hooks.queue as q
             where q.id = any ($1)"
);

/// The queues of these ids that exist.
pub fn load_queues(client: &mut SpiClient<'_>, ids: &[QueueId]) -> Result<Vec<QueueRow>, Failure> {
    let mut secrets = load_secrets(client, &Vault::new(), ids)?;
    let mut auth = load_auth(client, ids)?;
    let rows = LOAD.with(|statement| statement.read(client, &[ids.to_vec().into()]))?;
    rows.into_iter()
        .map(|row| {
            let id = column(&row, 1)?;
            Ok(QueueRow {
                id,
                version: column(&row, 23)?,
                is_foreign: column(&row, 27)?,
                is_active: column(&row, 12)?,
                policy: {
                    let secrets = secrets.remove(&id).unwrap_or_default();
                    let rows = auth.remove(&id).unwrap_or_else(|| Ok(Vec::new()));
                    let auth = rows.and_then(|rows| assemble(&rows, &secrets));
                    read(&row, secrets, auth)?
                },
            })
        })
        .collect()
}

statement!(
    LOOK,
    "select q.id, q.home <> (select hooks.home()), q.active from hooks.queue as q where q.id = $1"
);

/// A queue of which [`load_queues`] fails, as far as it can be read, if it exists.
pub fn unreadable_queue(
    client: &mut SpiClient<'_>,
    id: QueueId,
    failure: &Failure,
) -> Result<Option<QueueRow>, Failure> {
    let row = LOOK
        .with(|statement| statement.read(client, &[id.into()]))?
        .next();
    let look = |row: SpiHeapTupleData<'_>| {
        Ok(QueueRow {
            id: column(&row, 1)?,
            // Of no row, so that it is loaded again at each survey.
            version: pg_sys::TransactionId::INVALID,
            is_foreign: column(&row, 2)?,
            is_active: column(&row, 3)?,
            policy: Err(failure.to_string()),
        })
    };
    row.map(look).transpose()
}

fn read(
    row: &SpiHeapTupleData<'_>,
    secrets: Secrets,
    auth: Result<Auth, String>,
) -> Result<Result<Queue, String>, Failure> {
    let url: Vec<u8> = column(row, 2)?;
    let method: String = column(row, 3)?;
    let headers: Vec<u8> = column(row, 4)?;
    let statuses: Option<Vec<i32>> = optional(row, 6)?;
    let endpoint = match Endpoint::parse(&String::from_utf8_lossy(&url)) {
        Ok(endpoint) => endpoint,
        Err(invalid) => return Ok(Err(invalid.message)),
    };
    let Ok(headers) = serde_json::from_slice(&headers) else {
        return Ok(Err("headers are not valid JSON".to_owned()));
    };
    let headers = match Headers::from_json(&headers) {
        Ok(headers) => headers,
        Err(invalid) => return Ok(Err(invalid.message)),
    };
    let Some(method) = Method::parse(&method) else {
        return Ok(Err("method is not supported".to_owned()));
    };
    let Some(keep_attempts) = KeepAttempts::parse(&column::<String>(row, 25)?) else {
        return Ok(Err("keep_attempts is not known".to_owned()));
    };
    let signatures: Vec<String> = column(row, 26)?;
    let Some(schemes) = signatures
        .iter()
        .map(|name| Scheme::parse(name))
        .collect::<Option<Vec<_>>>()
    else {
        return Ok(Err("signature is not known".to_owned()));
    };
    Ok(Ok(Queue {
        id: column(row, 1)?,
        endpoint,
        method,
        headers,
        timeout: micros(column(row, 5)?),
        accepted: statuses.map_or(AcceptedStatuses::Successful, |statuses| {
            AcceptedStatuses::Listed(
                statuses
                    .into_iter()
                    .filter_map(|status| status.try_into().ok())
                    .collect(),
            )
        }),
        retry: RetryPolicy {
            max_attempts: count(column(row, 7)?),
            backoff: backoff(row)?,
        },
        max_in_flight: count(column(row, 11)?),
        active: column(row, 12)?,
        auth,
        dead_letters_block: column(row, 21)?,
        bury_expired: column(row, 22)?,
        signing: Signing::new(&schemes, &secrets),
        secrets,
        keep_bodies: column(row, 24)?,
        keep_attempts,
        rate_limit: rate_limit(row)?,
        breaker: breaker(row)?,
    }))
}

fn backoff(row: &SpiHeapTupleData<'_>) -> Result<Backoff, Failure> {
    let schedule: Option<Vec<i64>> = optional(row, 8)?;
    let (min, max): (Option<i64>, Option<i64>) = (optional(row, 9)?, optional(row, 10)?);
    Ok(match (schedule, min, max) {
        (Some(delays), _, _) => Backoff::Schedule(delays.into_iter().map(micros).collect()),
        (None, Some(min), Some(max)) => Backoff::Exponential {
            min: micros(min),
            max: micros(max),
        },
        _ => Backoff::Schedule(STANDARD_SCHEDULE.to_vec()),
    })
}

fn rate_limit(row: &SpiHeapTupleData<'_>) -> Result<Option<RateLimit>, Failure> {
    let Some(messages) = optional(row, 13)? else {
        return Ok(None);
    };
    let burst: Option<i32> = optional(row, 15)?;
    Ok(Some(RateLimit::new(
        count(messages),
        micros(column(row, 14)?),
        count(burst.unwrap_or(messages)),
    )))
}

fn breaker(row: &SpiHeapTupleData<'_>) -> Result<Option<BreakerPolicy>, Failure> {
    let Some(threshold) = optional(row, 16)? else {
        return Ok(None);
    };
    Ok(Some(BreakerPolicy {
        window: micros(column(row, 17)?),
        min_requests: count(column(row, 18)?),
        threshold,
        open_for: micros(column(row, 19)?),
        max_failed_probes: count(column(row, 20)?),
    }))
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(1).max(1)
}
