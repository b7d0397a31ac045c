//! Messages: the functions that send one.

mod batch;
mod check;

use std::cell::OnceCell;

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::{AnyElement, pg_sys};

pub use check::{MAX_KEY_BYTES, check};

use super::owner::Called;
use super::prepared::{self, Prepared, Statement};
use super::queue::{self, Found};
use super::row::{bytes_of_text, handed_on, text_argument};
use super::trace::traced;
use super::transform::Transform;
use crate::error::{Error, OrRaise};

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
) -> Option<i64> {
    let called = Called::by(call);
    let queue = queue::for_sending(queue, called).or_raise();
    let options = Options {
        at,
        headers,
        ordering_key,
        expires_at,
    };
    let transform = match body {
        Some(_) => transform_of(&queue, &options, called).or_raise(),
        None => None,
    };
    let body = transformed(transform.as_ref(), body).or_raise()?;
    let sent = called.as_owner(|| send(&TEXT, queue.id, body, &options, idempotency_key));
    Some(sent.or_raise())
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
    let queue = queue::for_sending(queue, called).or_raise();
    queue.require_no_transform().or_raise();
    let options = Options {
        at,
        headers,
        ordering_key,
        expires_at,
    };
    let body = handed_on(body, pg_sys::BYTEAOID).or_raise();
    let sent = called.as_owner(|| send(&BYTEA, queue.id, body, &options, idempotency_key));
    sent.or_raise()
}

/// What may be said of a message besides its queue and body.
struct Options {
    at: Option<TimestampWithTimeZone>,
    headers: Option<AnyElement>,
    ordering_key: Option<AnyElement>,
    expires_at: Option<TimestampWithTimeZone>,
}

impl Options {
    /// The first six arguments of each statement that stores messages.
    fn arguments(
        &self,
        queue_id: i64,
        body: DatumWithOid<'static>,
    ) -> Result<Vec<DatumWithOid<'static>>, Error> {
        Ok(vec![
            queue_id.into(),
            body,
            self.at.into(),
            traced(handed_on(self.headers, pg_sys::JSONBOID)?)?,
            handed_on(self.ordering_key, pg_sys::TEXTOID)?,
            self.expires_at.into(),
        ])
    }
}

/// The body as the transform of the queue makes it, run as the current user; `None` if it wants no
/// message. A message without body has nothing to transform.
fn transformed(
    transform: Option<&Transform>,
    body: Option<AnyElement>,
) -> Result<Option<DatumWithOid<'static>>, Error> {
    if let (Some(text), Some(transform)) = (&body, transform) {
        let made = transform.run(&bytes_of_text(text)?)?;
        return Ok(made.map(|made| text_argument(&made)));
    }
    handed_on(body, pg_sys::TEXTOID).map(Some)
}

fn transform_of(queue: &Found, options: &Options, called: Called) -> Result<Option<Transform>, Error> {
    Transform::of_queue(queue, headers(options)?, called)
}

fn headers(options: &Options) -> Result<DatumWithOid<'static>, Error> {
    handed_on(options.headers, pg_sys::JSONBOID)
}

/// The ways to store bodies of one type.
struct Inserts {
    /// One, with the next id.
    next: Statement,
    /// One, with an id that was taken before.
    given: Statement,
    /// All of an array.
    batch: Statement,
}

thread_local! {
    static TEXT_NEXT: Prepared = const { OnceCell::new() };
    static TEXT_GIVEN: Prepared = const { OnceCell::new() };
    static TEXT_BATCH: Prepared = const { OnceCell::new() };
    static BYTEA_NEXT: Prepared = const { OnceCell::new() };
    static BYTEA_GIVEN: Prepared = const { OnceCell::new() };
    static BYTEA_BATCH: Prepared = const { OnceCell::new() };
    static CLAIM: Prepared = const { OnceCell::new() };
}

macro_rules! inserts {
    ($body:literal, $next:ident, $given:ident, $batch:ident) => {
        Inserts {
            next: (
                &$next,
                concat!(
                    "insert into hooks.message (queue_id, ",
                    $body,
                    ", due_at, headers, ordering_key, expires_at)
                     values ($1, $2, $3, $4, $5, $6) returning id"
                ),
            ),
            given: (
                &$given,
                concat!(
                    "insert into hooks.message (queue_id, ",
                    $body,
                    ", due_at, headers, ordering_key, expires_at, id)
                     values ($1, $2, $3, $4, $5, $6, $7) returning id"
                ),
            ),
            batch: (
                &$batch,
                concat!(
                    "insert into hooks.message (queue_id, ",
                    $body,
                    ", due_at, headers, ordering_key, expires_at)
                     select $1, b.body, $3, $4, $5, $6
                     from unnest($2) with ordinality as b(body, place)
                     order by b.place
                     returning id"
                ),
            ),
        }
    };
}

static TEXT: Inserts = inserts!("body", TEXT_NEXT, TEXT_GIVEN, TEXT_BATCH);
static BYTEA: Inserts = inserts!("body_bytes", BYTEA_NEXT, BYTEA_GIVEN, BYTEA_BATCH);

/// Stores a message, unless there is one of this idempotency key already. Returns its id either way.
fn send(
    inserts: &Inserts,
    queue_id: i64,
    body: DatumWithOid<'static>,
    options: &Options,
    idempotency_key: Option<AnyElement>,
) -> Result<i64, Error> {
    let mut arguments = options.arguments(queue_id, body)?;
    let Some(key) = idempotency_key else {
        return store(inserts.next, &arguments);
    };
    let (id, first) = claim(queue_id, handed_on(Some(key), pg_sys::TEXTOID)?, None)?;
    if !first {
        return Ok(id);
    }
    arguments.push(id.into());
    store(inserts.given, &arguments)
}

const CLAIM_KEY: &str = "select c.id, c.first
     from hooks.claim_key(concat('queue ', $1), $2, 'hooks.message_id_seq', $3) as c";

/// The id that has this key in this queue, and whether it was taken for it just now: `wanted`, or else the
/// next one.
fn claim(queue_id: i64, key: DatumWithOid<'static>, wanted: Option<i64>) -> Result<(i64, bool), Error> {
    let arguments = [queue_id.into(), key, wanted.into()];
    let claimed = prepared::run((&CLAIM, CLAIM_KEY), &arguments, |rows| {
        rows.first().get_two::<i64, bool>()
    });
    match claimed {
        Ok((Some(id), Some(first))) => Ok((id, first)),
        _ => Err(not_stored()),
    }
}

fn store(insert: Statement, arguments: &[DatumWithOid]) -> Result<i64, Error> {
    let id = prepared::run(insert, arguments, |rows| rows.first().get_one::<i64>());
    id.ok().flatten().ok_or_else(not_stored)
}

fn not_stored() -> Error {
    Error::invalid(
        "message was not stored",
        "A rule or trigger on hooks.message must not suppress rows.",
    )
}
