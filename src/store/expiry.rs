//! Ends of messages: whether they are still what they were when the messages were read.

use std::collections::HashSet;

use pgrx::spi::SpiClient;

use super::record::Record;
use super::{column, statement};
use crate::domain::scheduler::{MessageId, Verdict};
use crate::domain::time::Timestamp;
use crate::session::{Failure, to_postgres};

// Whoever changes one of these rows from here on waits for this transaction.
statement!(
    ENDS,
    "select m.id, m.expires_at <= r.by is true
     from unnest($1::bigint[], $2::timestamptz[]) as r(id, by)
     join hooks.message as m on m.id = r.id
     for update of m"
);

/// Which of these messages do not end by these times after all: somebody gave them more meanwhile.
pub fn last_longer(
    client: &mut SpiClient<'_>,
    messages: impl Iterator<Item = (MessageId, Timestamp)>,
) -> Result<HashSet<MessageId>, Failure> {
    let (ids, by): (Vec<_>, Vec<_>) = messages.map(|(id, by)| (id, to_postgres(by))).unzip();
    let mut lasting = HashSet::new();
    if ids.is_empty() {
        return Ok(lasting);
    }
    for row in ENDS.with(|statement| statement.run(client, &[ids.into(), by.into()]))? {
        if !column::<bool>(&row, 2)? {
            lasting.insert(column(&row, 1)?);
        }
    }
    Ok(lasting)
}

/// Has those retried that were to end with the attempt, and may go on by now.
pub fn spare_lasting(client: &mut SpiClient<'_>, records: &mut [Record]) -> Result<(), Failure> {
    let expiring = records.iter().filter_map(|record| match record.verdict {
        Verdict::Expired { retry_at, .. } => Some((record.attempt.message_id, retry_at)),
        _ => None,
    });
    let lasting = last_longer(client, expiring)?;
    for record in records {
        if let Verdict::Expired { retry_at, .. } = record.verdict
            && lasting.contains(&record.attempt.message_id)
        {
            record.verdict = Verdict::RetryAt(retry_at);
        }
    }
    Ok(())
}
