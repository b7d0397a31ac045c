//! Messages: the send functions, and the trigger that checks what is stored by whatever way.

use std::cell::OnceCell;
use std::thread::LocalKey;

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiTupleTable};
use pgrx::{AnyElement, Spi, pg_sys};

use super::owner::Called;
use super::queue;
use super::row::{NewRow, handed_on};
use crate::domain::envelope::Envelope;
use crate::error::{Error, OrRaise};
use crate::{guc, wake};

#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "they are those of the SQL function")]
fn send_text(
    queue: Option<AnyElement>,
    body: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    headers: Option<AnyElement>,
    ordering_key: Option<AnyElement>,
    expires_at: Option<TimestampWithTimeZone>,
    idempotency_key: Option<AnyElement>,
    call: pg_sys::FunctionCallInfo,
) -> i64 {
    let called = Called::by(call);
    let queue_id = queue::id_by_name(queue, called).or_raise();
    let options = Options {
        at,
        headers: handed_on(headers, pg_sys::JSONBOID).or_raise(),
        ordering_key: handed_on(ordering_key, pg_sys::TEXTOID).or_raise(),
        expires_at,
    };
    let body = handed_on(body, pg_sys::TEXTOID).or_raise();
    let sent = called.as_owner(|| send(&TEXT, queue_id, body, options, idempotency_key));
    sent.or_raise()
}

#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "they are those of the SQL function")]
fn send_bytea(
    queue: Option<AnyElement>,
    body: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    headers: Option<AnyElement>,
    ordering_key: Option<AnyElement>,
    expires_at: Option<TimestampWithTimeZone>,
    idempotency_key: Option<AnyElement>,
    call: pg_sys::FunctionCallInfo,
) -> i64 {
    let called = Called::by(call);
    let queue_id = queue::id_by_name(queue, called).or_raise();
    let options = Options {
        at,
        headers: handed_on(headers, pg_sys::JSONBOID).or_raise(),
        ordering_key: handed_on(ordering_key, pg_sys::TEXTOID).or_raise(),
        expires_at,
    };
    let body = handed_on(body, pg_sys::BYTEAOID).or_raise();
    let sent = called.as_owner(|| send(&BYTEA, queue_id, body, options, idempotency_key));
    sent.or_raise()
}

/// What may be said of a message besides its queue and body.
struct Options {
    at: Option<TimestampWithTimeZone>,
    headers: DatumWithOid<'static>,
    ordering_key: DatumWithOid<'static>,
    expires_at: Option<TimestampWithTimeZone>,
}

/// A statement prepared once per backend and never freed: backends end without running destructors
/// of PostgreSQL's memory.
pub type Prepared = OnceCell<&'static OwnedPreparedStatement>;

/// The two ways to store a body of one type.
struct Inserts {
    /// With the next id.
    next: (&'static LocalKey<Prepared>, &'static str),
    /// With an id that was given to the idempotency key before.
    given: (&'static LocalKey<Prepared>, &'static str),
}

thread_local! {
    static TEXT_NEXT: Prepared = const { OnceCell::new() };
    static TEXT_GIVEN: Prepared = const { OnceCell::new() };
    static BYTEA_NEXT: Prepared = const { OnceCell::new() };
    static BYTEA_GIVEN: Prepared = const { OnceCell::new() };
    static CLAIM: Prepared = const { OnceCell::new() };
}

static TEXT: Inserts = Inserts {
    next: (
        &TEXT_NEXT,
        "insert into hooks.message (queue_id, body, due_at, headers, ordering_key, expires_at)
         values ($1, $2, $3, $4, $5, $6) returning id",
    ),
    given: (
        &TEXT_GIVEN,
        "insert into hooks.message (queue_id, body, due_at, headers, ordering_key, expires_at, id)
         values ($1, $2, $3, $4, $5, $6, $7) returning id",
    ),
};
static BYTEA: Inserts = Inserts {
    next: (
        &BYTEA_NEXT,
        "insert into hooks.message (queue_id, body_bytes, due_at, headers, ordering_key, expires_at)
         values ($1, $2, $3, $4, $5, $6) returning id",
    ),
    given: (
        &BYTEA_GIVEN,
        "insert into hooks.message (queue_id, body_bytes, due_at, headers, ordering_key, expires_at, id)
         values ($1, $2, $3, $4, $5, $6, $7) returning id",
    ),
};

/// Stores a message, unless there is one of this idempotency key already. Returns its id either way.
fn send(
    inserts: &Inserts,
    queue_id: i64,
    body: DatumWithOid,
    options: Options,
    idempotency_key: Option<AnyElement>,
) -> Result<i64, Error> {
    let mut arguments = vec![
        queue_id.into(),
        body,
        options.at.into(),
        options.headers,
        options.ordering_key,
        options.expires_at.into(),
    ];
    let Some(key) = idempotency_key else {
        return store(inserts.next, &arguments);
    };
    let (id, first) = claim(queue_id, handed_on(Some(key), pg_sys::TEXTOID)?)?;
    if !first {
        return Ok(id);
    }
    arguments.push(id.into());
    store(inserts.given, &arguments)
}

const CLAIM_KEY: &str = "select c.id, c.first
     from hooks.claim_key(pg_catalog.concat('queue ', $1), $2, 'hooks.message_id_seq') as c";

/// The id that has this key in this queue, and whether it was taken for it just now.
fn claim(queue_id: i64, key: DatumWithOid) -> Result<(i64, bool), Error> {
    let claimed = run((&CLAIM, CLAIM_KEY), &[queue_id.into(), key], |row| {
        row.get_two::<i64, bool>()
    });
    match claimed {
        Ok((Some(id), Some(first))) => Ok((id, first)),
        _ => Err(not_stored()),
    }
}

fn store(insert: (&'static LocalKey<Prepared>, &str), arguments: &[DatumWithOid]) -> Result<i64, Error> {
    let id = run(insert, arguments, |row| row.get_one::<i64>());
    id.ok().flatten().ok_or_else(not_stored)
}

/// Runs a statement that is prepared at its first use, and reads its first row.
pub fn run<T>(
    (prepared, sql): (&'static LocalKey<Prepared>, &str),
    arguments: &[DatumWithOid],
    read: impl FnOnce(SpiTupleTable) -> spi::Result<T>,
) -> spi::Result<T> {
    Spi::connect_mut(|client| {
        let statement = match prepared.with(|prepared| prepared.get().copied()) {
            Some(statement) => statement,
            None => {
                let types: Vec<PgOid> = arguments.iter().map(|a| PgOid::from(a.oid())).collect();
                let statement: &'static _ = Box::leak(Box::new(client.prepare_mut(sql, &types)?.keep()));
                prepared.with(|prepared| *prepared.get_or_init(|| statement))
            }
        };
        read(client.update(statement, None, arguments)?.first())
    })
}

fn not_stored() -> Error {
    Error::invalid(
        "message was not stored",
        "A rule or trigger on hooks.message must not suppress rows.",
    )
}

/// Columns of `hooks.message` that the trigger reads, by number.
mod column {
    pub const ID: usize = 1;
    pub const QUEUE_ID: usize = 2;
    pub const DUE_AT: usize = 3;
    pub const ATTEMPT: usize = 4;
    pub const ATTEMPTS_BEFORE: usize = 5;
    pub const DEATHS: usize = 6;
    pub const CREATED_AT: usize = 7;
    pub const HEADERS: usize = 8;
    pub const BODY: usize = 9;
    pub const BODY_BYTES: usize = 10;
    pub const ORDERING_KEY: usize = 11;
    pub const EXPIRES_AT: usize = 12;
    pub const EVENT_ID: usize = 13;
    pub const ENVELOPE: usize = 14;
}

/// Checks a row of `hooks.message` before it is stored and tells the worker at commit.
///
/// Returns the column to change and its new value when the due time is to become now.
pub fn check(row: &NewRow, called: Called) -> Result<Option<(i32, pg_sys::Datum)>, Error> {
    let queue_id = row.get::<i64>(column::QUEUE_ID).ok_or_else(|| {
        Error::invalid(
            "queue_id must not be null",
            "Give the id of a row of hooks.queue.",
        )
    })?;
    queue::require(queue_id, called)?;
    check_size(
        row.size(column::BODY)
            .or_else(|| row.size(column::BODY_BYTES))
            .unwrap_or(0),
    )?;
    if let Some(headers) = row.json(column::HEADERS) {
        queue::validate_headers(&headers)?;
    }
    check_bookkeeping(row)?;
    let now = wake::transaction_start();
    let due_at = row.get::<i64>(column::DUE_AT);
    if due_at == Some(i64::MAX) {
        return Err(Error::invalid(
            "due time must not be infinite",
            "Give the time at which to send.",
        ));
    }
    let future = due_at.is_some_and(|due_at| due_at >= now);
    let due_at = due_at.unwrap_or(now).max(now);
    // A message whose time is over may still be changed otherwise.
    let expires_at = row.get::<i64>(column::EXPIRES_AT);
    let said = [column::DUE_AT, column::EXPIRES_AT]
        .iter()
        .any(|column| row.is_said_anew(*column));
    if said && expires_at.is_some_and(|expires_at| expires_at <= due_at) {
        return Err(Error::invalid(
            "message expires before it is due",
            "Give an expires_at after the due time, and after now.",
        ));
    }
    wake::note_due(queue_id, due_at);
    Ok((!future).then(|| (column::DUE_AT as i32, pg_sys::Datum::from(now))))
}

/// More attempts than a message can ever have.
const MAX_ATTEMPT: i32 = 1_000_000;

/// Longest ordering key.
pub const MAX_KEY_BYTES: usize = 1000;

/// Columns with defaults that a plain INSERT or UPDATE can set. The table's own constraints hold them
/// too, but their errors would print the row with its body and headers.
fn check_bookkeeping(row: &NewRow) -> Result<(), Error> {
    let refuse = |message: &str, hint: &str| Err(Error::invalid(message, hint));
    let kept = [column::ID, column::DEATHS, column::CREATED_AT];
    let (attempt, before) = (
        row.get::<i32>(column::ATTEMPT),
        row.get::<i32>(column::ATTEMPTS_BEFORE),
    );
    let (Some(attempt), Some(before), false) = (attempt, before, kept.iter().any(|c| row.is_null(*c))) else {
        return refuse(
            "id, attempt, attempts_before, deaths and created_at must not be null",
            "Leave them out to have their defaults.",
        );
    };
    if before < 0 || attempt < before || attempt > MAX_ATTEMPT {
        return refuse(
            "attempts must count up from 0 to 1000000",
            "Leave attempt and attempts_before out.",
        );
    }
    if row
        .size(column::ORDERING_KEY)
        .is_some_and(|bytes| bytes == 0 || bytes > MAX_KEY_BYTES)
    {
        return refuse(
            "ordering key must have 1 to 1000 bytes",
            "Leave it out for a message without order.",
        );
    }
    if !row.is_null(column::BODY) && !row.is_null(column::BODY_BYTES) {
        return refuse("a message has one body", "Give body or body_bytes, not both.");
    }
    check_envelope(row)
}

/// Only events have envelopes.
fn check_envelope(row: &NewRow) -> Result<(), Error> {
    let Some(envelope) = row.text(column::ENVELOPE) else {
        return Ok(());
    };
    if row.is_null(column::EVENT_ID) || Envelope::parse(&envelope).is_none() {
        return Err(Error::invalid(
            "envelope is not known, or of a message without event",
            "Leave it out, and publish events with hooks.publish().",
        ));
    }
    Ok(())
}

#[pg_extern(sql = false)]
fn check_body_size(bytes: i64) {
    check_size(usize::try_from(bytes).unwrap_or(usize::MAX)).or_raise();
}

/// Whether a body of so many bytes may be stored.
fn check_size(bytes: usize) -> Result<(), Error> {
    let limit = guc::max_body_size();
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::invalid(
        format!("body of {bytes} bytes exceeds hooks.max_body_size, {limit} bytes"),
        "Send a reference to the data, or raise hooks.max_body_size.",
    ))
}
