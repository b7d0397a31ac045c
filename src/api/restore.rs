//! Rows that a dump brings. They are stored without checks, and only where no queue of this database could have them
//! sent at once.

use std::cell::Cell;

use pgrx::prelude::*;

use super::owner::Called;
use super::prepared::{self, Prepared};
use crate::error::{Error, OrRaise};
use crate::{session, wake};

thread_local! {
    static SERVES: Prepared = const { Prepared::new() };
    /// Start of the transaction and the statement in which this was last asked and found to be so.
    static FIT: Cell<Option<(i64, i64)>> = const { Cell::new(None) };
}

/// Queues of its own, or that it had some: then messages without a queue are taken for those of a dropped one.
const SERVES_QUEUES: &str = "select exists (select from hooks.queue as q where q.home = hooks.home())
       or (not exists (select from hooks.queue) and (select s.is_called from hooks.queue_id_seq as s))";

#[pg_extern(sql = false)]
fn restoring(table: pg_sys::Oid, call: pg_sys::FunctionCallInfo) -> bool {
    brings_rows_of(table, Called::by(call)).or_raise()
}

/// Whether what a trigger of this table is asked about comes from a dump that is being restored.
///
/// # Errors
/// It does, and this database has queues of its own.
pub fn brings_rows_of(table: pg_sys::Oid, called: Called) -> Result<bool, Error> {
    if !session::is_restoring(table) {
        return Ok(false);
    }
    // Once for each COPY.
    let statement = Some((wake::transaction_start(), wake::statement_start()));
    if FIT.get() != statement {
        let serves = called.as_owner(|| {
            prepared::run((&SERVES, SERVES_QUEUES), &[], |rows| {
                rows.first().get_one::<bool>()
            })
        });
        if serves.ok().flatten() != Some(false) {
            return Err(Error::not_ready(
                "a dump cannot be restored into a database that has, or had, queues of its own",
                "Restore it into a new database, or over this one with pg_restore --clean.",
            ));
        }
        FIT.set(statement);
    }
    Ok(true)
}
