//! The worker's side of a database session: connection, settings, transactions, activity.

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fmt, ptr};

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::spi::{SpiClient, SpiError};
use pgrx::{PgSqlErrorCode, PgTryBuilder, Spi, pg_sys};

use crate::domain::time::Timestamp;

/// From 1970, where Unix begins, to 2000, where PostgreSQL begins; in microseconds.
const UNIX_TO_POSTGRES: i64 = 946_684_800_000_000;

/// Settings of every worker session, whatever ALTER DATABASE and ALTER ROLE say.
///
/// Triggers do not fire for a replica: no user code ever runs as the worker. The plans wanted are
/// nested loops over indexes, also when the statistics come from a time when a table was empty.
const SETTINGS: &[(&CStr, &CStr)] = &[
    (c"search_path", c""),
    (c"session_replication_role", c"replica"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    (c"synchronous_commit", c"on"),
    (c"statement_timeout", c"0"),
    (c"lock_timeout", c"0"),
    (c"idle_in_transaction_session_timeout", c"0"),
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    (c"transaction_timeout", c"0"),
    (c"row_security", c"off"),
    (c"jit", c"off"),
    (c"plan_cache_mode", c"force_generic_plan"),
    (c"enable_seqscan", c"off"),
    (c"enable_bitmapscan", c"off"),
    (c"enable_hashjoin", c"off"),
    (c"enable_mergejoin", c"off"),
    (c"max_parallel_workers_per_gather", c"0"),
];

/// What statements run through within a transaction.
pub type Client<'conn> = SpiClient<'conn>;

/// Why a transaction of the worker was rolled back.
#[derive(Debug)]
pub struct Failure {
    pub code: PgSqlErrorCode,
    pub message: String,
}

impl Failure {
    /// Whether the rows are at fault and would be at the next try: data exceptions (class 22),
    /// violated constraints (class 23), damaged data.
    pub fn is_of_the_rows(&self) -> bool {
        // The first two characters of a SQLSTATE, six bits each, the first one lowest.
        const DATA_EXCEPTION: i32 = 0o0202;
        const CONSTRAINT_VIOLATION: i32 = 0o0302;
        let class = self.code as i32 & 0o7777;
        class == DATA_EXCEPTION
            || class == CONSTRAINT_VIOLATION
            || self.code == PgSqlErrorCode::ERRCODE_DATA_CORRUPTED
    }

    /// The extension is not the one that this process serves.
    pub fn extension_gone() -> Failure {
        Failure {
            code: PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            message: "extension \"pg_hooks\" was dropped".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<SpiError> for Failure {
    fn from(error: SpiError) -> Failure {
        Failure {
            code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            message: error.to_string(),
        }
    }
}

impl From<CaughtError> for Failure {
    fn from(error: CaughtError) -> Failure {
        match error {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => Failure {
                code: report.sql_error_code(),
                message: report.message().to_owned(),
            },
            CaughtError::RustPanic { ereport, .. } => Failure {
                code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                message: ereport.message().to_owned(),
            },
        }
    }
}

/// Connects this background worker to a database, as the bootstrap superuser.
pub fn connect(database: pg_sys::Oid) {
    // SAFETY: called once, first thing in a background worker that was registered for connections.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
        pg_sys::pgstat_report_appname(c"pg_hooks".as_ptr());
    }
    for (name, value) in SETTINGS {
        set(name, value);
    }
}

/// Connects this background worker to no database; it can read shared catalogs only.
pub fn connect_to_shared_catalogs() {
    // SAFETY: as for `connect`.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnection(ptr::null(), ptr::null(), 0);
        pg_sys::pgstat_report_appname(c"pg_hooks".as_ptr());
    }
}

/// From now on no statement of this session waits longer for a lock than this: a lock that a user
/// holds must not stop the deliveries that it does not concern.
pub fn bound_lock_waits() {
    set(c"lock_timeout", c"100ms");
}

fn set(name: &CStr, value: &CStr) {
    // SAFETY: the names and values are valid; setting them needs no transaction.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Sleeps until this process's latch is set or the time is over.
pub fn sleep(longest: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let millis = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
    // SAFETY: waits on the latch of this process.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, millis, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    check_interrupts();
}

/// Runs `work` in a transaction: commits on `Ok`, rolls back on `Err`, on a PostgreSQL error and on a
/// panic. Nothing is open afterwards in any case.
pub fn transaction<T>(
    activity: &CStr,
    work: impl FnOnce(&mut SpiClient<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    report_activity(pg_sys::BackendState::STATE_RUNNING, Some(activity));
    let result = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: a background worker between transactions; the snapshot is popped before the commit.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let value = Spi::connect_mut(work)?;
        // SAFETY: as above.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        Ok(value)
    }))
    .catch_others(|error| Err(Failure::from(error)))
    .catch_rust_panic(|error| Err(Failure::from(error)))
    .execute();
    if result.is_err() {
        // SAFETY: legal in every transaction state, also in none.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    // SAFETY: called between transactions, as PostgreSQL's own workers do; limits itself to one
    // report a second. Without it autovacuum would not learn of dead rows.
    unsafe { pg_sys::pgstat_report_stat(false) };
    result
}

/// Shows in pg_stat_activity that the worker waits for something to do.
pub fn report_idle() {
    report_activity(pg_sys::BackendState::STATE_IDLE, None);
}

/// Hands all pending statistics over, before a long wait.
pub fn flush_statistics() {
    // SAFETY: as in `transaction`.
    unsafe { pg_sys::pgstat_report_stat(true) };
}

fn report_activity(state: pg_sys::BackendState::Type, text: Option<&CStr>) {
    // SAFETY: the text is a C string, which the function copies.
    unsafe { pg_sys::pgstat_report_activity(state, text.map_or(ptr::null(), CStr::as_ptr)) };
}

/// Whether the extension of this database is the one of that oid. Only within a transaction.
pub fn extension_is(oid: pg_sys::Oid) -> bool {
    // SAFETY: reads pg_extension; the name is a C string.
    unsafe { pg_sys::get_extension_oid(c"pg_hooks".as_ptr(), true) == oid }
}

/// Waits until what these transactions wrote is on disk, so that nothing is sent that a crash could
/// still undo. At once unless they committed with `synchronous_commit = off`.
pub fn flush_commits(transactions: impl Iterator<Item = pg_sys::TransactionId>) {
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

/// The time now.
pub fn now() -> Timestamp {
    // SAFETY: reads the clock.
    unix_time(unsafe { pg_sys::GetCurrentTimestamp() })
}

/// PostgreSQL's time as ours; its infinities become the ends of the range.
pub fn from_postgres(time: TimestampWithTimeZone) -> Timestamp {
    unix_time(time.into())
}

/// PostgreSQL's microseconds as ours.
pub fn unix_time(micros: pg_sys::TimestampTz) -> Timestamp {
    Timestamp(match micros {
        i64::MIN | i64::MAX => micros,
        _ => micros.saturating_add(UNIX_TO_POSTGRES),
    })
}

/// Our time as PostgreSQL's; what lies outside of its range becomes an infinity.
pub fn to_postgres(time: Timestamp) -> TimestampWithTimeZone {
    let micros = match time.0 {
        i64::MIN | i64::MAX => time.0,
        micros => micros.saturating_sub(UNIX_TO_POSTGRES),
    };
    let infinity = if micros < 0 {
        TimestampWithTimeZone::negative_infinity
    } else {
        TimestampWithTimeZone::positive_infinity
    };
    TimestampWithTimeZone::try_from(micros).unwrap_or_else(|_| infinity())
}

static TERMINATE: AtomicBool = AtomicBool::new(false);

/// Handles SIGTERM by ending in order: [`terminating`] tells the loop.
pub fn end_in_order_on_sigterm() {
    set_handler(libc::SIGTERM, note_sigterm);
}

// PostgreSQL's own handlers, as pointers. Those in pg_sys are wrapped in Rust functions.
unsafe extern "C-unwind" {
    fn die(signal: i32);
    fn StatementCancelHandler(signal: i32);
    fn SignalHandlerForConfigReload(signal: i32);
}

/// Installs the signal handlers of a worker and unblocks signals. SIGTERM ends the process wherever
/// it waits, until [`end_in_order_on_sigterm`].
pub fn handle_signals() {
    // SAFETY: the handlers are PostgreSQL's own for these signals; SIGUSR1 has its handler already.
    unsafe {
        set_handler(libc::SIGHUP, SignalHandlerForConfigReload);
        set_handler(libc::SIGTERM, die);
        set_handler(libc::SIGINT, StatementCancelHandler);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

fn set_handler(signal: i32, handler: unsafe extern "C-unwind" fn(i32)) {
    // SAFETY: a handler of the type that PostgreSQL documents, which does what handlers may.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

unsafe extern "C-unwind" fn note_sigterm(_signal: i32) {
    TERMINATE.store(true, Ordering::Relaxed);
    // SAFETY: SetLatch is safe in signal handlers; MyLatch is set for the life of the process.
    unsafe { pg_sys::SetLatch(pg_sys::MyLatch) };
}

/// Whether the process was asked to end.
pub fn terminating() -> bool {
    TERMINATE.load(Ordering::Relaxed)
}

/// Acts on interrupts: barriers, cancellation. A cancellation while idle has nothing to cancel.
pub fn check_interrupts() {
    let checked = PgTryBuilder::new(|| {
        pgrx::check_for_interrupts!();
        Ok(())
    })
    .catch_others(|error| Err(Failure::from(error)))
    .execute();
    if let Err(failure) = checked {
        pgrx::debug1!("pg_hooks worker goes on: {failure}");
    }
}

/// Whether a reload was asked for.
pub fn reload_pending() -> bool {
    // SAFETY: reads a flag of this process that a signal handler sets.
    unsafe { pg_sys::ConfigReloadPending != 0 }
}

/// Reads the configuration anew if a reload was asked for. Returns whether it was.
pub fn reload_settings() -> bool {
    // SAFETY: between transactions, as PostgreSQL's own workers do it.
    unsafe {
        if pg_sys::ConfigReloadPending == 0 {
            return false;
        }
        pg_sys::ConfigReloadPending = 0;
        pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
    }
    true
}

/// Ends the process so that it is started again.
pub fn exit_for_restart() -> ! {
    // SAFETY: runs the exit callbacks and ends the process.
    unsafe { pg_sys::proc_exit(1) };
}

/// Ends the process for good.
pub fn exit_for_good() -> ! {
    // SAFETY: as above.
    unsafe { pg_sys::proc_exit(0) };
}
