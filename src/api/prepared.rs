//! Statements that a backend prepares at their first use.

use std::cell::{Cell, OnceCell};
use std::ffi::{CStr, c_char};
use std::ptr;
use std::thread::LocalKey;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, PreparedStatement, SpiClient, SpiTupleTable};

use super::memory;
use super::row::is_large;
use crate::error::OrRaise;
use crate::session;

/// A statement prepared once per backend and never freed: backends end without running destructors
/// of PostgreSQL's memory.
pub type Prepared = OnceCell<&'static OwnedPreparedStatement>;

/// Where a statement is kept, and its text.
pub type Statement = (&'static LocalKey<Prepared>, &'static str);

/// The statement for arguments of these types.
pub fn prepare(
    client: &SpiClient,
    (prepared, sql): Statement,
    arguments: &[DatumWithOid],
) -> spi::Result<&'static OwnedPreparedStatement> {
    kept(prepared, arguments, |types| client.prepare_mut(sql, types))
}

fn kept<'conn>(
    prepared: &'static LocalKey<Prepared>,
    arguments: &[DatumWithOid],
    prepare: impl FnOnce(&[PgOid]) -> spi::Result<PreparedStatement<'conn>>,
) -> spi::Result<&'static OwnedPreparedStatement> {
    session::fail_if_struck(|| "session: statement".to_owned());
    if arguments.iter().any(is_large) {
        memory::reserve_for_errors().or_raise();
    }
    if let Some(statement) = prepared.with(|prepared| prepared.get().copied()) {
        return Ok(statement);
    }
    let types: Vec<PgOid> = arguments.iter().map(|a| PgOid::from(a.oid())).collect();
    let statement: &'static _ = Box::leak(Box::new(prepare(&types)?.keep()));
    Ok(prepared.with(|prepared| *prepared.get_or_init(|| statement)))
}

/// A statement that only reads, prepared and kept in the same way.
pub type Reading = Cell<pg_sys::SPIPlanPtr>;

/// Not prepared yet.
pub const fn reading() -> Reading {
    Cell::new(ptr::null_mut())
}

/// The rows that such a statement gave.
pub struct Rows<'a>(Option<&'a pg_sys::SPITupleTable>);

impl Rows<'_> {
    pub fn len(&self) -> usize {
        self.0
            .map_or(0, |table| usize::try_from(table.numvals).unwrap_or(0))
    }

    /// A column, counted from 1, of a row, counted from 0. `None` for null, and where there is no such row.
    pub fn get<T: FromDatum>(&self, row: usize, column: i32) -> Option<T> {
        let table = self.0.filter(|_| row < self.len())?;
        let mut is_null = false;
        // SAFETY: the row is there; callers name a type that fits the column of their statement.
        unsafe {
            let value = pg_sys::SPI_getbinval(*table.vals.add(row), table.tupdesc, column, &raw mut is_null);
            T::from_datum(value, is_null)
        }
    }
}

/// Where a statement that only reads is kept, and its text.
type Query<'a> = (&'static LocalKey<Reading>, &'a CStr);

/// Runs a statement that only reads. The transaction is given no id for it, which a standby could not give.
///
/// Not by way of pgrx, whose statements are not of that kind once the transaction has written.
pub fn read<T>(query: Query, arguments: &[DatumWithOid], read: impl FnOnce(&Rows) -> T) -> spi::Result<T> {
    // SAFETY: within a transaction, as `Spi` demands too.
    read_under(
        query,
        arguments,
        || unsafe { pg_sys::GetTransactionSnapshot() },
        read,
    )
}

/// As [`read`], but sees all that others have committed so far, whatever the isolation level of the transaction: so a
/// right that was taken back is gone at once, as one of PostgreSQL is.
pub fn read_newest<T>(
    query: Query,
    arguments: &[DatumWithOid],
    read: impl FnOnce(&Rows) -> T,
) -> spi::Result<T> {
    // SAFETY: as above.
    read_under(query, arguments, || unsafe { newest_snapshot() }, read)
}

fn read_under<T>(
    (kept, sql): Query,
    arguments: &[DatumWithOid],
    snapshot: impl FnOnce() -> pg_sys::Snapshot,
    read: impl FnOnce(&Rows) -> T,
) -> spi::Result<T> {
    Spi::connect(|_| {
        session::fail_if_struck(|| "session: statement".to_owned());
        let (mut values, nulls): (Vec<_>, Vec<_>) = arguments
            .iter()
            .map(|argument| match argument.datum() {
                Some(value) => (value.sans_lifetime(), b' ' as c_char),
                None => (pg_sys::Datum::null(), b'n' as c_char),
            })
            .unzip();
        let mut types: Vec<_> = arguments.iter().map(DatumWithOid::oid).collect();
        // SAFETY: within a transaction and a connection of SPI, with as many values as arguments. The abort of the
        // transaction pops the snapshot after an error. The rows live as long as the connection.
        unsafe {
            if kept.get().is_null() {
                let plan = pg_sys::SPI_prepare(sql.as_ptr(), types.len() as i32, types.as_mut_ptr());
                if plan.is_null() {
                    Spi::check_status(pg_sys::SPI_result)?;
                }
                pg_sys::SPI_keepplan(plan);
                kept.set(plan);
            }
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(snapshot());
            let only_reads = true;
            let status =
                pg_sys::SPI_execute_plan(kept.get(), values.as_mut_ptr(), nulls.as_ptr(), only_reads, 0);
            pg_sys::PopActiveSnapshot();
            Spi::check_status(status)?;
            Ok(read(&Rows(pg_sys::SPI_tuptable.as_ref())))
        }
    })
}

/// A snapshot of this moment; in parallel mode, where there is no other, that of the transaction.
///
/// # Safety
/// Within a transaction.
unsafe fn newest_snapshot() -> pg_sys::Snapshot {
    // SAFETY: as said.
    unsafe {
        if pg_sys::IsInParallelMode() {
            pg_sys::GetTransactionSnapshot()
        } else {
            pg_sys::GetLatestSnapshot()
        }
    }
}

/// Runs a statement and reads its rows.
pub fn run<T>(
    statement: Statement,
    arguments: &[DatumWithOid],
    read: impl FnOnce(SpiTupleTable) -> spi::Result<T>,
) -> spi::Result<T> {
    Spi::connect_mut(|client| {
        let statement = prepare(client, statement, arguments)?;
        read(client.update(statement, None, arguments)?)
    })
}
