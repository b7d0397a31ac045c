//! Events: their types and patterns, metadata, idempotency.

use pgrx::prelude::*;

use crate::domain::event::Metadata;
use crate::domain::headers::MAX_STORED_BYTES;
use crate::domain::pattern::{self, InvalidName};
use crate::error::{Error, OrRaise};
use crate::guc;

impl From<InvalidName> for Error {
    fn from(invalid: InvalidName) -> Error {
        Error::invalid(invalid.message, invalid.hint)
    }
}

#[pg_extern(sql = false)]
fn pattern_key(pattern: &[u8]) -> String {
    key_of(&String::from_utf8_lossy(pattern)).or_raise()
}

fn key_of(pattern: &str) -> Result<String, Error> {
    pattern::check_pattern(pattern)?;
    Ok(pattern::key_of_pattern(pattern))
}

#[pg_extern(sql = false)]
fn event_keys(event_type: Option<&[u8]>) -> Vec<String> {
    keys_of(event_type).or_raise()
}

fn keys_of(event_type: Option<&[u8]>) -> Result<Vec<String>, Error> {
    let event_type = event_type.ok_or_else(|| {
        Error::invalid(
            "event type must not be null",
            "Give a dotted name such as order.created.",
        )
    })?;
    let event_type = String::from_utf8_lossy(event_type);
    pattern::check_type(&event_type)?;
    Ok(pattern::keys_of_type(&event_type))
}

#[pg_extern(sql = false)]
fn event_type_problem(event_type: &[u8]) -> Option<String> {
    let problem = pattern::check_published(&String::from_utf8_lossy(event_type)).err();
    problem.map(|invalid| invalid.message)
}

#[pg_extern(sql = false)]
fn check_published_event(event_type: &[u8]) {
    let checked = pattern::check_published(&String::from_utf8_lossy(event_type));
    checked.map_err(Error::from).or_raise();
}

#[pg_extern(sql = false)]
fn pattern_matches(pattern: &str, event_type: &str) -> bool {
    pattern::matches(pattern, event_type)
}

#[pg_extern(sql = false)]
fn check_metadata(metadata: &[u8]) {
    validate_metadata(metadata).or_raise();
}

fn validate_metadata(metadata: &[u8]) -> Result<(), Error> {
    // What is longer cannot be headers, and is not even read.
    if metadata.len() > MAX_STORED_BYTES {
        return Err(Error::invalid(
            "metadata is too long for headers",
            "Move the data into the payload.",
        ));
    }
    // jsonb holds numbers and depths that the parser refuses; neither can be a header.
    let json = serde_json::from_slice(metadata).map_err(|_| {
        Error::invalid(
            "metadata is not an object of strings",
            "Give values of metadata as JSON strings.",
        )
    })?;
    Metadata::from_json(&json)
        .map(|_| ())
        .map_err(|invalid| Error::invalid(invalid.message, invalid.hint))
}

#[pg_extern(sql = false)]
fn idempotency_seconds() -> f64 {
    guc::idempotency_window().as_secs_f64()
}
