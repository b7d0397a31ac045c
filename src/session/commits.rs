//! Commits that are visible but not on disk yet.

use pgrx::pg_sys;

use super::fail_if_struck;

/// Waits until what these transactions wrote is on disk, so that nothing is sent that a crash could
/// still undo. At once unless they committed with `synchronous_commit = off`.
pub fn flush_commits(transactions: impl Iterator<Item = pg_sys::TransactionId>) {
    fail_if_struck(|| "wal: flush".to_owned());
    let (mut last, mut position) = (None, 0);
    for xid in transactions {
        if last != Some(xid) && commit_may_be_unflushed(xid) {
            // SAFETY: the transaction is committed, for its row was visible to us.
            position = position.max(unsafe { pg_sys::TransactionIdGetCommitLSN(xid) });
        }
        last = Some(xid);
    }
    if position > 0 {
        // SAFETY: the position lies in the past of this server's WAL.
        unsafe { pg_sys::XLogFlush(position) };
    }
}

/// False for transactions that lie before the commit log: those are long on disk.
fn commit_may_be_unflushed(xid: pg_sys::TransactionId) -> bool {
    // SAFETY: reads a word of shared memory that only ever advances.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
        let (oldest, next) = {
            let cache = pg_sys::ShmemVariableCache;
            ((*cache).oldestClogXid, (*cache).nextXid)
        };
        #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
        let (oldest, next) = {
            let variables = pg_sys::TransamVariables;
            ((*variables).oldestClogXid, (*variables).nextXid)
        };
        let next = pg_sys::TransactionId::from(next.value as u32);
        // The id of a row frozen long ago can look like one to come.
        !pg_sys::TransactionIdPrecedes(xid, oldest) && pg_sys::TransactionIdPrecedes(xid, next)
    }
}
