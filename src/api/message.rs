//! Messages: the send functions, and the trigger that checks what is stored by whatever way.

use std::cell::OnceCell;

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use pgrx::{AnyElement, Spi, pg_sys};

use super::owner::Called;
use super::queue;
use super::row::{NewRow, handed_on};
use crate::error::{Error, OrRaise};
use crate::{guc, wake};

#[pg_extern(sql = false)]
fn send_text(
    queue: Option<AnyElement>,
    body: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    headers: Option<AnyElement>,
    ordering_key: Option<AnyElement>,
    expires_at: Option<TimestampWithTimeZone>,
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
    let stored = TEXT.with(|insert| called.as_owner(|| store(insert, TEXT_INSERT, queue_id, body, options)));
    stored.or_raise()
}

#[pg_extern(sql = false)]
fn send_bytea(
    queue: Option<AnyElement>,
    body: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    headers: Option<AnyElement>,
    ordering_key: Option<AnyElement>,
    expires_at: Option<TimestampWithTimeZone>,
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
    let stored =
        BYTEA.with(|insert| called.as_owner(|| store(insert, BYTEA_INSERT, queue_id, body, options)));
    stored.or_raise()
}

/// What may be said of a message besides its queue and body.
struct Options {
    at: Option<TimestampWithTimeZone>,
    headers: DatumWithOid<'static>,
    ordering_key: DatumWithOid<'static>,
    expires_at: Option<TimestampWithTimeZone>,
}

const TEXT_INSERT: &str =
    "insert into hooks.message (queue_id, body, due_at, headers, ordering_key, expires_at)
     values ($1, $2, $3, $4, $5, $6) returning id";
const BYTEA_INSERT: &str =
    "insert into hooks.message (queue_id, body_bytes, due_at, headers, ordering_key, expires_at)
     values ($1, $2, $3, $4, $5, $6) returning id";

/// A statement prepared once per backend and never freed: backends end without running destructors
/// of PostgreSQL's memory.
type Prepared = OnceCell<&'static OwnedPreparedStatement>;

thread_local! {
    static TEXT: Prepared = const { OnceCell::new() };
    static BYTEA: Prepared = const { OnceCell::new() };
}

fn store(
    prepared: &Prepared,
    insert: &str,
    queue_id: i64,
    body: DatumWithOid,
    options: Options,
) -> Result<i64, Error> {
    let body_type = PgOid::from(body.oid());
    let arguments = [
        queue_id.into(),
        body,
        options.at.into(),
        options.headers,
        options.ordering_key,
        options.expires_at.into(),
    ];
    let id = Spi::connect_mut(|client| -> spi::Result<Option<i64>> {
        let statement = match prepared.get() {
            Some(statement) => *statement,
            None => {
                let types = [
                    PgBuiltInOids::INT8OID.into(),
                    body_type,
                    PgBuiltInOids::TIMESTAMPTZOID.into(),
                    PgBuiltInOids::JSONBOID.into(),
                    PgBuiltInOids::TEXTOID.into(),
                    PgBuiltInOids::TIMESTAMPTZOID.into(),
                ];
                let statement: &'static _ = Box::leak(Box::new(client.prepare_mut(insert, &types)?.keep()));
                prepared.get_or_init(|| statement)
            }
        };
        client
            .update(statement, None, &arguments)?
            .first()
            .get_one::<i64>()
    });
    id.ok().flatten().ok_or_else(|| {
        Error::invalid(
            "message was not stored",
            "A rule or trigger on hooks.message must not suppress rows.",
        )
    })
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
    if row
        .get::<i64>(column::EXPIRES_AT)
        .is_some_and(|expires_at| expires_at <= due_at)
    {
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
const MAX_KEY_BYTES: usize = 1000;

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
    Ok(())
}

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
