//! Secrets of queues, and what they authenticate with.

use std::collections::HashMap;

use pgrx::spi::SpiClient;

use super::{column, optional, statement};
use crate::domain::auth::AuthRow;
use crate::domain::queue::QueueId;
use crate::domain::secret::{Held, Purpose, Secrets};
use crate::domain::time::Timestamp;
use crate::session::Failure;
use crate::vault::{Place, Stored, Vault};

statement!(
    LOAD,
    "select s.queue_id, s.purpose, (extract(epoch from s.expires_at) * 1000000)::bigint,
            s.content, s.key_id, s.file
     from hooks.secret as s
     where s.queue_id = any ($1) and (s.expires_at is null or s.expires_at > pg_catalog.now())
     order by s.queue_id, s.purpose, s.id desc"
);

/// The secrets of these queues, opened; queues without any are left out.
pub fn load_secrets(
    client: &mut SpiClient<'_>,
    vault: &Vault,
    ids: &[QueueId],
) -> Result<HashMap<QueueId, Secrets>, Failure> {
    let rows = LOAD.with(|statement| statement.read(client, &[ids.to_vec().into()]))?;
    let mut held: HashMap<QueueId, Vec<Held>> = HashMap::new();
    for row in rows {
        let queue_id: QueueId = column(&row, 1)?;
        let purpose: String = column(&row, 2)?;
        let Some(purpose) = Purpose::parse(&purpose) else {
            continue;
        };
        let expires_at: Option<i64> = optional(&row, 3)?;
        let content: Option<Vec<u8>> = optional(&row, 4)?;
        let file: Option<String> = optional(&row, 6)?;
        let stored = Stored {
            queue_id,
            purpose,
            key_id: optional(&row, 5)?,
            place: content.map(Place::Row).or(file.map(Place::File)),
        };
        held.entry(queue_id).or_default().push(Held {
            purpose,
            expires_at: expires_at.map(Timestamp),
            value: vault.open(stored),
        });
    }
    Ok(held
        .into_iter()
        .map(|(id, held)| (id, Secrets::new(held)))
        .collect())
}

statement!(
    FORGET,
    "delete from hooks.secret as s where s.expires_at <= pg_catalog.now()"
);

/// Removes secrets whose grace has ended; returns how many.
pub fn forget_secrets(client: &mut SpiClient<'_>) -> Result<usize, Failure> {
    Ok(FORGET.with(|statement| statement.run(client, &[]))?.len())
}

statement!(
    LOAD_AUTH,
    "select a.queue_id,
            convert_to(to_jsonb(a)::text, case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end)
     from hooks.auth as a
     where a.queue_id = any ($1)"
);

/// Rows of these queues, or why they cannot be used; queues without any are left out.
pub fn load_auth(
    client: &mut SpiClient<'_>,
    ids: &[QueueId],
) -> Result<HashMap<QueueId, Result<Vec<AuthRow>, String>>, Failure> {
    let rows = LOAD_AUTH.with(|statement| statement.read(client, &[ids.to_vec().into()]))?;
    let mut auth = HashMap::new();
    for row in rows {
        let id: QueueId = column(&row, 1)?;
        let json: Vec<u8> = column(&row, 2)?;
        let rows = auth.entry(id).or_insert_with(|| Ok(Vec::new()));
        match (AuthRow::from_json(&json), rows) {
            (Ok(row), Ok(rows)) => rows.push(row),
            (Err(invalid), rows) => *rows = Err(invalid.message),
            (Ok(_), Err(_)) => {}
        }
    }
    Ok(auth)
}
