//! Changes as messages of a queue.

use std::cell::OnceCell;

use super::call::Call;
use super::deposit::Deposit;
use super::plan::Plan;
use crate::api::prepared::{self, Prepared};
use crate::api::queue;
use crate::api::trace::traced;
use crate::api::transform::Transform;
use crate::domain::emission::Name;
use crate::error::Error;

/// All messages of a call are one statement.
const INSERT: &str = "insert into hooks.message (queue_id, headers, body, ordering_key)
                      select $1, $2, e.body, e.ordering_key from emitted as e";

/// The message of a single change, for which the relation would cost more than the rest.
const INSERT_ONE: &str =
    "insert into hooks.message (queue_id, headers, body, ordering_key) values ($1, $2, $3, $4)";

thread_local! {
    static PREPARED: Prepared = const { OnceCell::new() };
    static PREPARED_ONE: Prepared = const { OnceCell::new() };
}

/// Stores a message for each change, in their order. The transform of the queue, if any, runs as the
/// current user.
///
/// # Errors
/// There is no such queue, though something changed that is to be sent.
pub fn send(call: &Call, plan: &Plan, queue: &Name) -> Result<(), Error> {
    let called = call.called();
    let mut to = None;
    let mut deposit = Deposit::new();
    super::for_each_body(call, plan, |body, key| {
        if to.is_none() {
            let queue = queue::by_text(queue, called)?;
            let transform = Transform::of_queue(&queue, plan.headers(), called)?;
            to = Some((queue.id, transform));
        }
        match &to {
            Some((_, Some(transform))) => {
                if let Some(made) = transform.run(body)? {
                    deposit.put(&made, key)?;
                }
            }
            _ => deposit.put(body, key)?,
        }
        Ok(())
    })?;
    let Some((queue_id, _)) = to.filter(|_| !deposit.is_empty()) else {
        return Ok(());
    };
    let headers = called.as_owner(|| traced(plan.headers()))?;
    let stored = called.as_owner(|| match deposit.only() {
        Some([body, key]) => {
            let arguments = [queue_id.into(), headers, body, key];
            prepared::run((&PREPARED_ONE, INSERT_ONE), &arguments, |_| Ok(()))
        }
        None => deposit.store((&PREPARED, INSERT), &[queue_id.into(), headers]),
    });
    stored.map_err(|_| {
        Error::invalid(
            "message was not stored",
            "A rule or trigger on hooks.message must not suppress rows.",
        )
    })
}
