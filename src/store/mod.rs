//! All SQL of the worker. Policy is not here: these functions read rows and write what was decided.

mod bulletin;
mod cron;
mod dead_letter;
mod event;
mod expiry;
mod history;
mod installation;
mod message;
mod queue;
mod queue_state;
mod record;
mod secret;
mod survey;
mod tally;
mod tidy_tally;

pub use bulletin::{Bulletin, tell};
pub use cron::{CronRow, Ran, Run, load_cron, run_cron, survey_cron};
pub use dead_letter::{Buried, Grave, bury, bury_orphans, orphans};
pub use event::{forget_events, forget_keys};
pub use expiry::last_longer;
pub use history::{Day, forget_dead_letters, forget_history, history_work, turn_day};
pub use installation::{
    begin_leading, end_leading, extension, extension_oid, hold, prepared_transactions, webhook_key,
};
pub use message::{Content, Fetched, Row, claim, fetch, forgive, locked, read_contents};
pub use queue::{QueueRow, load_queues, unreadable_queue};
pub use queue_state::{
    disable_queue, forget_open_breakers, load_failing, load_held, load_open, locked_states,
    note_closed_breaker, note_failing, note_held, note_open_breaker, note_well,
};
pub use record::{Overdue, Record, Recorded, expire, record, storable};
pub use secret::forget_secrets;
pub use survey::{Surveyed, orphaned_queues, survey};
pub use tally::{Logged, fold, log_tally, unfolded};
pub use tidy_tally::{add_cancelled, forget_dropped_queues, forget_hours, merge_minutes, note_activity};

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, PreparedStatement, SpiClient, SpiHeapTupleData, SpiTupleTable};

use crate::session::{self, Bytes, Failure};

/// A statement of the worker, prepared at first use and kept for the life of the process.
struct Statement {
    /// Module and name, where it can be made to fail.
    place: &'static str,
    sql: &'static str,
    prepared: std::cell::OnceCell<&'static OwnedPreparedStatement>,
}

impl Statement {
    const fn new(place: &'static str, sql: &'static str) -> Statement {
        Statement {
            place,
            sql,
            prepared: std::cell::OnceCell::new(),
        }
    }

    /// Runs a statement that changes rows.
    fn run<'conn>(
        &self,
        client: &mut SpiClient<'conn>,
        arguments: &[DatumWithOid<'_>],
    ) -> Result<SpiTupleTable<'conn>, Failure> {
        session::fail_if_struck(|| self.place());
        session::reserve_for_errors()?;
        let statement = self.prepared(arguments, |types| client.prepare_mut(self.sql, types))?;
        Ok(client.update(statement, None, arguments)?)
    }

    /// Runs a statement that only reads, under the snapshot of the transaction. The transaction then
    /// needs no id of its own, and so writes and waits for nothing when it commits.
    fn read<'conn>(
        &self,
        client: &SpiClient<'conn>,
        arguments: &[DatumWithOid<'_>],
    ) -> Result<SpiTupleTable<'conn>, Failure> {
        session::fail_if_struck(|| self.place());
        session::reserve_for_errors()?;
        let statement = self.prepared(arguments, |types| client.prepare(self.sql, types))?;
        Ok(client.select(statement, None, arguments)?)
    }

    fn place(&self) -> String {
        let prefix = concat!(module_path!(), "::");
        self.place.strip_prefix(prefix).unwrap_or(self.place).to_owned()
    }

    fn prepared<'conn>(
        &self,
        arguments: &[DatumWithOid<'_>],
        prepare: impl FnOnce(&[PgOid]) -> spi::Result<PreparedStatement<'conn>>,
    ) -> Result<&'static OwnedPreparedStatement, Failure> {
        if let Some(statement) = self.prepared.get() {
            return Ok(statement);
        }
        let types: Vec<PgOid> = arguments.iter().map(|argument| argument.oid().into()).collect();
        let kept: &'static _ = Box::leak(Box::new(prepare(&types)?.keep()));
        Ok(self.prepared.get_or_init(|| kept))
    }
}

/// A column that is never null.
fn column<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData<'_>, ordinal: usize) -> Result<T, Failure> {
    optional(row, ordinal)?.ok_or_else(|| Failure {
        code: PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        message: format!("column {ordinal} is null"),
    })
}

/// A column that may be null.
fn optional<T: FromDatum + IntoDatum>(
    row: &SpiHeapTupleData<'_>,
    ordinal: usize,
) -> Result<Option<T>, Failure> {
    Ok(row.get::<T>(ordinal)?)
}

/// The bytes of a column that may be null, which may be many.
fn bytes(row: &SpiHeapTupleData<'_>, ordinal: usize) -> Result<Option<Vec<u8>>, Failure> {
    optional::<Bytes>(row, ordinal)?.map(Bytes::read).transpose()
}

/// Declares a statement of this process.
macro_rules! statement {
    ($name:ident, $sql:expr) => {
        thread_local! {
            static $name: crate::store::Statement = const {
                crate::store::Statement::new(concat!(module_path!(), "::", stringify!($name)), $sql)
            };
        }
    };
}
use statement;
