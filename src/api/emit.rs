//! `hooks.emit()`: the trigger function that sends what changed in a table.
//!
//! It runs as whoever changed the table: rendering a row as JSON may call casts and output functions that
//! users wrote. Only the messages, which are plain text by then, are stored as the owner of the extension.

mod call;
mod deposit;
mod options;
mod payload;
mod plan;
mod rows;
mod settings;
mod shape;

use pgrx::pg_guard;
use pgrx::pg_sys::{Datum, FunctionCallInfo, Pg_finfo_record};

use crate::error::{Error, OrRaise};
use call::Call;
use deposit::Deposit;
use payload::Payload;
use plan::Plan;

/// `hooks.emit(...)`, as PostgreSQL calls it.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn emit(call: FunctionCallInfo) -> Datum {
    let call = Call::of(call).or_raise();
    if let Err(error) = send_changes(&call) {
        call.blame(error).raise();
    }
    // PostgreSQL ignores what an AFTER trigger returns.
    Datum::null()
}

/// Tells PostgreSQL how `emit` is called.
#[unsafe(no_mangle)]
extern "C-unwind" fn pg_finfo_emit() -> &'static Pg_finfo_record {
    const V1: Pg_finfo_record = Pg_finfo_record { api_version: 1 };
    &V1
}

/// One message for each row that changed, or one for a TRUNCATE.
fn send_changes(call: &Call) -> Result<(), Error> {
    if !call.has_changes()? {
        return Ok(());
    }
    let plan = Plan::of(call)?;
    let mut payload = Payload::new(call, &plan);
    let mut deposit = Deposit::new();
    call.for_each_change(|old, new| {
        if let Some(body) = payload.of(old, new)? {
            deposit.put(body, plan.ordering_key(old, new).as_deref());
        }
        Ok(())
    })?;
    deposit.store(call.called(), &plan)
}
