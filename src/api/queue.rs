//! Queues: validation, and their ids by name.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread::LocalKey;

use pgrx::AnyElement;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::access::{self, Privilege};
use super::owner::Called;
use super::prepared::{self, Reading, Rows};
use super::row::{bytes_of_text, shown, text_argument};
use crate::deliver::own_addresses;
use crate::domain::endpoint::Endpoint;
use crate::domain::headers::{self, Headers};
use crate::error::{Error, OrRaise};
use crate::{guc, wake};

#[pg_extern(sql = false)]
fn check_url(url: &[u8]) {
    validate_url(&String::from_utf8_lossy(url)).or_raise();
}

#[pg_extern(sql = false)]
fn same_origin(url: &[u8], other: &[u8]) -> bool {
    let endpoint = |url| Endpoint::parse(&String::from_utf8_lossy(url)).ok();
    match (endpoint(url), endpoint(other)) {
        (Some(one), Some(other)) => one.has_origin_of(&other),
        _ => false,
    }
}

fn validate_url(url: &str) -> Result<(), Error> {
    let endpoint = Endpoint::parse(url).map_err(|invalid| Error::invalid(invalid.message, invalid.hint))?;
    let rules = guc::address_rules().map_err(|problem| {
        Error::invalid(
            problem,
            "Correct hooks.allowed_networks, hooks.denied_networks and hooks.allowed_ports in the server's \
             configuration.",
        )
    })?;
    let port = endpoint.port();
    let judged = match endpoint.literal_address() {
        Some(ip) => {
            // An attempt finds out what cannot be found out now.
            let own = own_addresses().unwrap_or_default();
            rules.check(endpoint.scheme(), SocketAddr::new(ip, port), &own)
        }
        None => rules.check_port(port),
    };
    judged.map_err(|denied| Error::invalid(format!("url is not allowed: {denied}"), denied.hint()))
}

#[pg_extern(sql = false)]
fn check_headers(headers: &[u8]) {
    validate_headers(&String::from_utf8_lossy(headers)).or_raise();
}

/// Whether the headers, a JSON text, may be stored with a queue or message.
pub fn validate_headers(headers: &str) -> Result<(), Error> {
    check_header_bytes(headers.len())?;
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

/// Whether headers that take so many bytes may be valid ones: what is larger is not even read.
pub fn check_header_bytes(bytes: usize) -> Result<(), Error> {
    if bytes <= headers::MAX_STORED_BYTES {
        return Ok(());
    }
    let invalid = headers::too_long();
    Err(Error::invalid(invalid.message, invalid.hint))
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
    by_name(queue, called).or_raise().id
}

/// Queues that a backend remembers: enough for an event that goes to all of very many.
const MOST_KNOWN: usize = 100_000;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
    static BY_NAME: Reading = const { prepared::reading() };
    static BY_ID: Reading = const { prepared::reading() };
}

/// Queues this backend has looked up, valid for one generation of the queue table.
#[derive(Default)]
struct Known {
    generation: i64,
    /// By the bytes of the name, in the encoding of the database.
    by_name: HashMap<Vec<u8>, Found>,
    ids: HashSet<i64>,
}

/// What senders must know of a queue.
#[derive(Clone)]
pub struct Found {
    pub id: i64,
    /// The function that makes the bodies of messages sent to it, as SQL calls it, in the encoding of the
    /// database.
    pub transform: Option<Rc<[u8]>>,
}

impl Found {
    /// # Errors
    /// The queue has a transform, and what is sent is not JSON.
    pub fn require_no_transform(&self) -> Result<(), Error> {
        match &self.transform {
            None => Ok(()),
            Some(transform) => Err(Error::invalid(
                format!("binary body for a queue with transform {}", shown(transform)),
                "Send text or jsonb, or take the transform from the queue with hooks.alter_queue().",
            )),
        }
    }
}

/// The queue of that name, a text argument of an SQL function.
pub fn by_name(name: Option<AnyElement>, called: Called) -> Result<Found, Error> {
    let argument =
        name.ok_or_else(|| Error::invalid("queue must not be null", "Give the name of a queue."))?;
    by_text(&bytes_of_text(&argument)?, called)
}

/// As [`by_name`], if the caller may send to it.
pub fn for_sending(name: Option<AnyElement>, called: Called) -> Result<Found, Error> {
    let found = by_name(name, called)?;
    access::require(found.id, Privilege::Send, called, || {
        access::quoted(name.as_ref())
    })?;
    Ok(found)
}

/// The queue of that name, in the encoding of the database.
pub fn by_text(name: &[u8], called: Called) -> Result<Found, Error> {
    if let Some(found) = cached(|known| known.by_name.get(name).cloned()) {
        return Ok(found);
    }
    let generation = wake::queue_generation();
    // The name of the transform as bytes, in the encoding of the database.
    let query = c"select id, convert_to(transform, 'SQL_ASCII') from hooks.queue where name = $1";
    let found = called.as_owner(|| {
        look_up(&BY_NAME, query, text_argument(name), |rows| {
            Some(Found {
                id: rows.get(0, 1)?,
                transform: rows.get::<Vec<u8>>(0, 2).map(Rc::from),
            })
        })
    });
    let found = found.ok_or_else(|| Error::UnknownQueue(shown(name)))?;
    remember(generation, |known| {
        known.ids.insert(found.id);
        known.by_name.insert(name.to_vec(), found.clone());
    });
    Ok(found)
}

/// Raises an error unless there is a queue of that id.
pub fn require(queue_id: i64, called: Called) -> Result<(), Error> {
    if cached(|known| known.ids.contains(&queue_id).then_some(())).is_some() {
        return Ok(());
    }
    let generation = wake::queue_generation();
    let by_id = c"select id from hooks.queue where id operator(pg_catalog.=) $1";
    called
        .as_owner(|| look_up(&BY_ID, by_id, queue_id.into(), |rows| rows.get::<i64>(0, 1)))
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
fn look_up<T>(
    kept: &'static LocalKey<Reading>,
    query: &CStr,
    key: DatumWithOid,
    read: impl FnOnce(&Rows) -> Option<T>,
) -> Option<T> {
    prepared::read((kept, query), &[key], read).ok().flatten()
}
