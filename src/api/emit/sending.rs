//! Changes as messages of a queue.

use std::cell::OnceCell;

use super::deposit::Deposit;
use super::plan::Plan;
use crate::api::message::Prepared;
use crate::api::owner::Called;
use crate::api::queue;
use crate::domain::emission::Name;
use crate::error::Error;

/// All messages of a call are one statement.
const INSERT: &str = "insert into hooks.message (queue_id, headers, body, ordering_key)
                      select $1, $2, e.body, e.ordering_key from emitted as e";

thread_local! {
    static PREPARED: Prepared = const { OnceCell::new() };
}

/// Stores a message for each row of the deposit, in their order.
///
/// # Errors
/// There is no such queue.
pub fn send(deposit: &Deposit, queue: &Name, plan: &Plan, called: Called) -> Result<(), Error> {
    if deposit.is_empty() {
        return Ok(());
    }
    let queue_id = queue::id_by_text(queue, called)?;
    let stored = called.as_owner(|| deposit.store(&PREPARED, INSERT, &[queue_id.into(), plan.headers()]));
    stored.map_err(|_| {
        Error::invalid(
            "message was not stored",
            "A rule or trigger on hooks.message must not suppress rows.",
        )
    })
}
