//! The trigger of `hooks.message`: checks what is stored, by whatever way, and tells the worker at commit.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::api::access::{self, Privilege};
use crate::api::owner::Called;
use crate::api::queue;
use crate::api::restore;
use crate::api::room;
use crate::api::row::NewRow;
use crate::domain::envelope::Envelope;
use crate::error::{Error, OrRaise};
use crate::{guc, wake};

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
    // The messages of a dump come before their queues, with due times and ends of long ago.
    if restore::brings_rows_of(row.table(), called)? {
        wake::note_due(queue_id, row.get::<i64>(column::DUE_AT).unwrap_or(i64::MIN));
        return Ok(None);
    }
    queue::require(queue_id, called)?;
    // What our own functions store, they have asked for.
    if !called.is_owner_current() {
        access::require(queue_id, Privilege::Send, called, || {
            format!("with id {queue_id}")
        })?;
    }
    let bytes = row.size(column::BODY).or_else(|| row.size(column::BODY_BYTES));
    check_size(bytes.unwrap_or(0))?;
    queue::check_header_bytes(row.size(column::HEADERS).unwrap_or(0))?;
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
    // An UPDATE may move it to another queue.
    if row.is_said_anew(column::QUEUE_ID) {
        room::take(queue_id, bytes.unwrap_or(0), called)?;
    }
    wake::note_due(queue_id, due_at);
    Ok((!future).then(|| (column::DUE_AT as i32, pg_sys::Datum::from(now))))
}

/// More attempts than a message can ever have.
const MAX_ATTEMPT: i32 = 1_000_000;

/// Longest ordering key.
pub const MAX_KEY_BYTES: usize = 1000;

/// Columns with defaults that a plain INSERT or UPDATE can set. The errors of constraints would print the row with
/// its body and headers.
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
