//! `hooks.emit()`: the trigger function that sends what changed in a table.
//!
//! It runs as whoever changed the table: rendering a row as JSON may call casts and output functions that
//! users wrote. Only the messages, which are plain text by then, are stored as the owner of the extension.

mod call;
mod deposit;
mod options;
mod payload;
mod plan;
mod publishing;
mod rows;
mod sending;
mod settings;
mod shape;
mod warrant;

use pgrx::pg_guard;
use pgrx::pg_sys::{Datum, FunctionCallInfo, Pg_finfo_record};

use crate::domain::emission::Target;
use crate::error::{Error, OrRaise};
use call::Call;
use deposit::Deposit;
use payload::Payload;
use plan::Plan;
use publishing::Publishing;

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

/// One message or event for each row that changed, or one for a TRUNCATE.
fn send_changes(call: &Call) -> Result<(), Error> {
    if !call.has_changes()? {
        return Ok(());
    }
    let plan = Plan::of(call)?;
    if !warrant::holds(call, &plan) {
        return Ok(());
    }
    match &plan.emission.target {
        Target::Queue(queue) => sending::send(call, &plan, queue),
        Target::Event(template) => {
            let publishing = Publishing::new(call, &plan, template)?;
            if publishing.is_one_by_one() {
                for_each_body(call, &plan, |body, key| publishing.publish_one(body, key))
            } else {
                publishing.publish(&mut gathered(call, &plan)?)
            }
        }
    }
}

fn gathered(call: &Call, plan: &Plan) -> Result<Deposit, Error> {
    let mut deposit = Deposit::new();
    for_each_body(call, plan, |body, key| deposit.put(body, key))?;
    Ok(deposit)
}

/// Hands over the body and ordering key of each change that is to be told of.
fn for_each_body(
    call: &Call,
    plan: &Plan,
    mut each: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut payload = Payload::new(call, plan);
    call.for_each_change(|old, new| match payload.of(old, new)? {
        Some(body) => each(body, plan.ordering_key(old, new)?.as_deref()),
        None => Ok(()),
    })
}
