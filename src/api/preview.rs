//! What would be sent: the request as an attempt writes it, without its secrets.

use std::ffi::CStr;
use std::sync::Arc;

use pgrx::prelude::*;
use pgrx::{Spi, pg_sys};
use serde_json::{Map, Value};

use super::prepared::{self, Reading};
use super::queue::validate_headers;
use crate::deliver::{self, Job, Written};
use crate::domain::exposure::{self, MASK};
use crate::domain::headers::Headers;
use crate::domain::message::{Body, Message};
use crate::domain::queue::Queue;
use crate::domain::signature;
use crate::domain::time::Timestamp;
use crate::error::{Error, OrRaise};
use crate::session::{self, Failure};
use crate::store;

/// A message that is not stored, but for its contents.
const NO_MESSAGE: i64 = 0;

const WAITING: &CStr = c"select m.queue_id, m.attempt from hooks.message as m
    where m.id operator(pg_catalog.=) $1";

const KEY: &CStr = c"select i.webhook_key from hooks.installation as i";

thread_local! {
    static PREPARED_WAITING: Reading = const { prepared::reading() };
    static PREPARED_KEY: Reading = const { prepared::reading() };
}

#[pg_extern(sql = false)]
fn preview_request(
    queue_id: i64,
    headers: Option<&[u8]>,
    body: Option<&[u8]>,
    at_us: i64,
) -> TableIterator<
    'static,
    (
        name!(method, String),
        name!(url, String),
        name!(headers, String),
        name!(body, Vec<u8>),
    ),
> {
    let message = Draft::new(headers, body);
    let shown = message.and_then(|message| show(queue_id, message, Timestamp(at_us)));
    TableIterator::once(shown.or_raise())
}

#[pg_extern(sql = false)]
fn preview_message(
    message_id: i64,
    at_us: i64,
) -> TableIterator<
    'static,
    (
        name!(method, String),
        name!(url, String),
        name!(headers, String),
        name!(body, Vec<u8>),
    ),
> {
    let stored = Draft::stored(message_id);
    let shown = stored.and_then(|(queue_id, message)| show(queue_id, message, Timestamp(at_us)));
    TableIterator::once(shown.or_raise())
}

/// What a message is made of, apart from its queue.
struct Draft {
    id: i64,
    attempt: u32,
    headers: Headers,
    body: Body,
}

impl Draft {
    fn new(headers: Option<&[u8]>, body: Option<&[u8]>) -> Result<Draft, Error> {
        let headers = headers.map_or_else(|| "null".into(), String::from_utf8_lossy);
        if headers != "null" {
            validate_headers(&headers)?;
        }
        let headers = serde_json::from_str(&headers).unwrap_or(Value::Null);
        let headers = Headers::from_json(&headers);
        Ok(Draft {
            id: NO_MESSAGE,
            attempt: 1,
            headers: headers.map_err(|invalid| Error::invalid(invalid.message, invalid.hint))?,
            body: body.map_or(Body::Empty, |body| Body::Text(body.to_vec())),
        })
    }

    /// A message that waits, and its queue.
    fn stored(id: i64) -> Result<(i64, Draft), Error> {
        let gone = || Error::UnknownMessage(id);
        let waiting = prepared::read((&PREPARED_WAITING, WAITING), &[id.into()], |rows| {
            (rows.get::<i64>(0, 1), rows.get::<i32>(0, 2))
        });
        let (queue_id, attempt) = waiting
            .ok()
            .and_then(|(queue_id, attempt)| Some((queue_id?, attempt?)))
            .ok_or_else(gone)?;
        let key = webhook_key()?;
        let contents = Spi::connect_mut(|client| store::read_contents(client, vec![id], &key));
        let content = contents.map_err(not_read)?.remove(&id).ok_or_else(gone)?;
        let (headers, body) = content.map_err(|problem| {
            Error::not_ready(
                format!("message {id} cannot be sent: {problem}"),
                "It will become a dead letter.",
            )
        })?;
        let attempt = u32::try_from(attempt).unwrap_or(0).saturating_add(1);
        let draft = Draft {
            id,
            attempt,
            headers,
            body,
        };
        Ok((queue_id, draft))
    }
}

fn show(queue_id: i64, draft: Draft, now: Timestamp) -> Result<(String, String, String, Vec<u8>), Error> {
    let queue = Arc::new(load(queue_id)?);
    let url = exposure::url(&queue.endpoint);
    let is_signed = !queue.signing.is_empty();
    let message = Message {
        id: draft.id,
        webhook_id: format!("msg_{}_{}", webhook_key()?, draft.id),
        attempt: draft.attempt,
        due_at: now,
        expires_at: None,
        waited_since: None,
        stored_at: 0,
        headers: draft.headers,
        body: draft.body,
    };
    let written = deliver::preview(&Job { queue, message }, now).map_err(|outcome| {
        let problem = outcome.error_text().unwrap_or_default();
        Error::not_ready(
            format!("no request can be made: {problem}"),
            "Correct the queue or the message.",
        )
    })?;
    let Written {
        method,
        headers,
        body,
        ..
    } = written;
    let headers = headers.into_iter().map(|(name, value)| {
        // A signature is of this request alone, and is what one looks for here.
        let is_signature = is_signed
            && signature::HEADERS
                .iter()
                .any(|header| name.eq_ignore_ascii_case(header.as_str()));
        let is_shown = is_signature || !exposure::is_secret(&name.to_ascii_lowercase());
        (name, Value::from(if is_shown { value } else { MASK.to_owned() }))
    });
    let headers = Value::Object(Map::from_iter(headers)).to_string();
    Ok((method, url, headers, body))
}

fn load(queue_id: i64) -> Result<Queue, Error> {
    let rows = Spi::connect_mut(|client| store::load_queues(client, &[queue_id]));
    let row = rows.map_err(not_read)?.into_iter().next();
    let row = row.ok_or(Error::UnknownQueueId(queue_id))?;
    row.policy.map_err(|problem| {
        Error::not_ready(
            format!("the queue is not valid: {problem}"),
            "Correct it with hooks.alter_queue().",
        )
    })
}

fn webhook_key() -> Result<String, Error> {
    let key = prepared::read((&PREPARED_KEY, KEY), &[], |rows| rows.get(0, 1));
    key.ok()
        .flatten()
        .ok_or_else(|| Error::not_ready("hooks.installation has no row", "Create the extension anew."))
}

fn not_read(failure: Failure) -> Error {
    Error::not_ready(failure.message, "Try again.")
}

#[pg_extern(sql = false)]
fn is_own_transaction(transaction: pg_sys::TransactionId) -> bool {
    session::is_own_transaction(transaction)
}
