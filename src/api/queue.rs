//! Queues: validation, and their ids by name.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use pgrx::prelude::*;
use pgrx::{AnyElement, Spi};

use super::owner::Called;
use super::row::{bytes_of_text, shown, text_argument};
use crate::domain::endpoint::Endpoint;
use crate::domain::headers::Headers;
use crate::error::{Error, OrRaise};
use crate::{guc, wake};

#[pg_extern(sql = false)]
fn check_url(url: &[u8]) {
    validate_url(&String::from_utf8_lossy(url)).or_raise();
}

fn validate_url(url: &str) -> Result<(), Error> {
    let endpoint = Endpoint::parse(url).map_err(|invalid| Error::invalid(invalid.message, invalid.hint))?;
    let Some(address) = endpoint.literal_address() else {
        return Ok(());
    };
    let rules = guc::address_rules().map_err(|problem| {
        Error::invalid(
            problem,
            "Correct hooks.allowed_networks in the server's configuration.",
        )
    })?;
    rules
        .check(endpoint.scheme(), address)
        .map_err(|denied| Error::invalid(format!("url is not allowed: {denied}"), denied.hint()))
}

#[pg_extern(sql = false)]
fn check_headers(headers: &[u8]) {
    validate_headers(&String::from_utf8_lossy(headers)).or_raise();
}

/// Whether the headers, a JSON text, may be stored with a queue or message.
pub fn validate_headers(headers: &str) -> Result<(), Error> {
    // jsonb holds numbers and depths that the parser refuses; neither can be a header.
    let json = serde_json::from_str(headers).map_err(|_| {
        Error::invalid(
            "headers are not an object of strings",
            "Give header values as JSON strings.",
        )
    })?;
    Headers::from_json(&json)
        .map(|_| ())
        .map_err(|invalid| Error::invalid(invalid.message, invalid.hint))
}

/// As [`validate_headers`], of bytes in the encoding of the database.
pub fn validate_header_text(headers: &[u8]) -> Result<(), Error> {
    validate_headers(&String::from_utf8_lossy(headers))
}

#[pg_extern(sql = false)]
fn note_queue(queue_id: i64) {
    wake::note_queue(queue_id);
}

#[pg_extern(sql = false)]
fn note_backlog(queue_id: i64) {
    wake::note_due(queue_id, i64::MIN);
}

#[pg_extern(sql = false)]
fn queue_id(queue: Option<AnyElement>, call: pg_sys::FunctionCallInfo) -> i64 {
    let called = Called::by(call);
    id_by_name(queue, called).or_raise()
}

/// Queues that a backend remembers: enough for an event that goes to all of very many.
const MOST_KNOWN: usize = 100_000;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Queues this backend has looked up, valid for one generation of the queue table.
#[derive(Default)]
struct Known {
    generation: i64,
    /// By the bytes of the name, in the encoding of the database.
    by_name: HashMap<Vec<u8>, i64>,
    ids: HashSet<i64>,
}

/// Id of the queue of that name, a text argument of an SQL function.
pub fn id_by_name(name: Option<AnyElement>, called: Called) -> Result<i64, Error> {
    let argument =
        name.ok_or_else(|| Error::invalid("queue must not be null", "Give the name of a queue."))?;
    id_by_text(&bytes_of_text(&argument)?, called)
}

/// Id of the queue of that name, in the encoding of the database.
pub fn id_by_text(name: &[u8], called: Called) -> Result<i64, Error> {
    if let Some(id) = cached(|known| known.by_name.get(name).copied()) {
        return Ok(id);
    }
    let generation = wake::queue_generation();
    let by_name = "select id from hooks.queue where name operator(pg_catalog.=) $1";
    let id = called
        .as_owner(|| look_up(by_name, text_argument(name)))
        .ok_or_else(|| Error::UnknownQueue(shown(name)))?;
    remember(generation, |known| {
        known.by_name.insert(name.to_vec(), id);
        known.ids.insert(id);
    });
    Ok(id)
}

/// Raises an error unless there is a queue of that id.
pub fn require(queue_id: i64, called: Called) -> Result<(), Error> {
    if cached(|known| known.ids.contains(&queue_id).then_some(())).is_some() {
        return Ok(());
    }
    let generation = wake::queue_generation();
    let by_id = "select id from hooks.queue where id operator(pg_catalog.=) $1";
    called
        .as_owner(|| look_up(by_id, queue_id))
        .ok_or(Error::UnknownQueueId(queue_id))?;
    remember(generation, |known| {
        known.ids.insert(queue_id);
    });
    Ok(())
}

fn cached<T>(find: impl FnOnce(&Known) -> Option<T>) -> Option<T> {
    let generation = wake::queue_generation()?;
    KNOWN.with_borrow(|known| {
        if known.generation == generation {
            find(known)
        } else {
            None
        }
    })
}

/// `generation` was read before the look-up: a change that commits in between makes the entry stale.
fn remember(generation: Option<i64>, add: impl FnOnce(&mut Known)) {
    let Some(generation) = generation else { return };
    KNOWN.with_borrow_mut(|known| {
        if known.generation != generation || known.ids.len() >= MOST_KNOWN {
            *known = Known {
                generation,
                ..Known::default()
            };
        }
        add(known);
    });
}

/// Runs with a snapshot of its own, newer than the generation that was read before.
fn look_up<'a>(query: &str, key: impl Into<pgrx::datum::DatumWithOid<'a>>) -> Option<i64> {
    Spi::connect_mut(|client| {
        let rows = client.update(query, Some(1), &[key.into()]).ok()?;
        if rows.is_empty() {
            None
        } else {
            rows.first().get_one::<i64>().ok()?
        }
    })
}
