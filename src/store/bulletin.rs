//! Operational events: an event, and a message for each subscription to it.

use pgrx::spi::SpiClient;
use serde_json::Value;

use super::{column, statement};
use crate::domain::bulletin::Kind;
use crate::domain::queue::QueueId;
use crate::session::Failure;

/// One event to be told.
pub struct Bulletin {
    pub kind: Kind,
    /// The queue that it is about, which does not get it.
    pub queue_id: Option<QueueId>,
    /// The dead letter that it is about.
    pub message_id: Option<i64>,
    /// The schedule that it is about.
    pub cron_id: Option<i64>,
    /// What its payload says besides.
    pub facts: Value,
}

statement!(
    TELL,
    "select t.queue_id
     from hooks.tell($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) as t(queue_id)"
);

/// Publishes these events. Returns the queues that got messages.
pub fn tell(client: &mut SpiClient<'_>, bulletins: &[Bulletin]) -> Result<Vec<QueueId>, Failure> {
    if bulletins.is_empty() {
        return Ok(Vec::new());
    }
    let types = bulletins.iter().map(|b| b.kind.event_type().to_owned());
    let arguments = [
        types.collect::<Vec<_>>().into(),
        bulletins.iter().map(|b| b.queue_id).collect::<Vec<_>>().into(),
        bulletins.iter().map(|b| b.message_id).collect::<Vec<_>>().into(),
        bulletins.iter().map(|b| b.cron_id).collect::<Vec<_>>().into(),
        bulletins
            .iter()
            .map(|b| b.facts.to_string())
            .collect::<Vec<_>>()
            .into(),
    ];
    let rows = TELL.with(|statement| statement.run(client, &arguments))?;
    rows.into_iter().map(|row| column(&row, 1)).collect()
}
