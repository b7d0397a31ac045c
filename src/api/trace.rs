//! The trace that a session says its messages belong to.

use std::cell::OnceCell;

use pgrx::JsonB;
use pgrx::datum::DatumWithOid;

use super::prepared::{self, Prepared};
use super::queue::check_header_bytes;
use super::row::size_of_jsonb;
use crate::error::Error;
use crate::guc;

thread_local! {
    static TRACED: Prepared = const { OnceCell::new() };
}

/// Headers of a message with the `traceparent` of the session, unless they have one. To be called as the
/// owner.
pub fn traced(headers: DatumWithOid<'static>) -> Result<DatumWithOid<'static>, Error> {
    if !guc::is_traced() {
        return Ok(headers);
    }
    check_header_bytes(size_of_jsonb(&headers))?;
    let made = prepared::run((&TRACED, "select hooks.traced($1)"), &[headers], |rows| {
        rows.first().get_one::<JsonB>()
    });
    let made =
        made.map_err(|_| Error::invalid("headers are not an object of strings", "Give a JSON object."))?;
    Ok(made.into())
}
