//! Statements that a backend prepares at their first use.

use std::cell::OnceCell;
use std::thread::LocalKey;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiTupleTable};

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
    session::fail_if_struck(|| "session: statement".to_owned());
    if let Some(statement) = prepared.with(|prepared| prepared.get().copied()) {
        return Ok(statement);
    }
    let types: Vec<PgOid> = arguments.iter().map(|a| PgOid::from(a.oid())).collect();
    let statement: &'static _ = Box::leak(Box::new(client.prepare_mut(sql, &types)?.keep()));
    Ok(prepared.with(|prepared| *prepared.get_or_init(|| statement)))
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
