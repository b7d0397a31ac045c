//! The one row that survives the leader.

use std::collections::BTreeSet;

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::{column, optional, statement};
use crate::domain::hold::Hold;
use crate::session::Failure;

/// What a leader learns when it begins.
pub struct Installation {
    /// Goes into every `webhook-id` of this database.
    pub webhook_key: String,
    /// Whether the last leader ended in order.
    pub ended_clean: bool,
    /// Whether there are queues, or were some: not while a dump is being restored, until its queues are there.
    pub had_queues: bool,
}

/// The extension of this database.
pub struct Extension {
    pub oid: pg_sys::Oid,
    pub version: String,
}

statement!(
    EXTENSION,
    "select e.oid, e.extversion
     from pg_extension as e
     where e.extname = 'pg_hooks'"
);

/// The extension of this database; `None` when it is not there.
pub fn extension(client: &mut SpiClient<'_>) -> Result<Option<Extension>, Failure> {
    let rows = EXTENSION.with(|statement| statement.read(client, &[]))?;
    let read = |row| {
        Ok(Extension {
            oid: column(&row, 1)?,
            version: column(&row, 2)?,
        })
    };
    rows.into_iter().next().map(read).transpose()
}

/// Oid of the extension in this database; `None` when it is not there.
pub fn extension_oid(client: &mut SpiClient<'_>) -> Result<Option<pg_sys::Oid>, Failure> {
    Ok(extension(client)?.map(|extension| extension.oid))
}

statement!(HOLD, "select hooks.hold()");

/// Why nothing may be sent from this database, if that is so.
pub fn hold(client: &mut SpiClient<'_>) -> Result<Option<Hold>, Failure> {
    let rows = HOLD.with(|statement| statement.read(client, &[]))?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let name: Option<String> = optional(&row, 1)?;
    name.map(|name| {
        Hold::named(&name).ok_or_else(|| Failure {
            code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            message: format!("hooks.hold() gave {name}, which is not known"),
        })
    })
    .transpose()
}

statement!(
    BEGIN,
    "with before as (
       select i.ended_clean from hooks.installation as i for update
     )
     update hooks.installation as i
     set led_by = pg_backend_pid(),
         led_since = now(),
         ended_clean = false
     from before
     returning i.webhook_key, before.ended_clean,
       exists (select from hooks.queue) or (select s.is_called from hooks.queue_id_seq as s)"
);

/// Notes that this process leads now.
pub fn begin_leading(client: &mut SpiClient<'_>) -> Result<Installation, Failure> {
    let rows = BEGIN.with(|statement| statement.run(client, &[]))?;
    let row = rows.into_iter().next().ok_or_else(no_installation)?;
    Ok(Installation {
        webhook_key: column(&row, 1)?,
        ended_clean: column(&row, 2)?,
        had_queues: column(&row, 3)?,
    })
}

statement!(KEY, "select i.webhook_key from hooks.installation as i");

/// What goes into every `webhook-id` of this database. It changes when a copy is adopted.
pub fn webhook_key(client: &mut SpiClient<'_>) -> Result<String, Failure> {
    let rows = KEY.with(|statement| statement.read(client, &[]))?;
    let row = rows.into_iter().next().ok_or_else(no_installation)?;
    column(&row, 1)
}

fn no_installation() -> Failure {
    Failure {
        code: PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        message: "hooks.installation has no row".to_owned(),
    }
}

statement!(
    END,
    "update hooks.installation set ended_clean = true where led_by = pg_backend_pid()"
);

/// Notes that this process ended in order.
pub fn end_leading(client: &mut SpiClient<'_>) -> Result<(), Failure> {
    END.with(|statement| statement.run(client, &[]))?;
    Ok(())
}

statement!(
    PREPARED,
    "select p.transaction from pg_prepared_xacts as p where p.database = current_database()"
);

/// Transactions of this database that are prepared and that any session may commit.
pub fn prepared_transactions(client: &mut SpiClient<'_>) -> Result<BTreeSet<u32>, Failure> {
    let rows = PREPARED.with(|statement| statement.read(client, &[]))?;
    rows.into_iter()
        .map(|row| Ok(column::<pg_sys::TransactionId>(&row, 1)?.into_inner()))
        .collect()
}
