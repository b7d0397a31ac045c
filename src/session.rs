//! The worker's side of a database session: connection, settings, transactions, activity.

mod clock;
mod commits;
mod failure;
mod rows;
mod server;
mod signals;
mod zone;

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::spi::SpiClient;
use pgrx::{PgTryBuilder, Spi, pg_sys};

pub use clock::{from_postgres, now, to_postgres, unix_time};
pub use commits::flush_commits;
pub use failure::{Failure, fail_if_struck};
pub use rows::{Value, rows_of, value};
pub use server::{is_restoring, place};
pub use signals::{
    check_interrupts, end_in_order_on_sigterm, handle_signals, reload_pending, reload_settings, terminating,
};
pub use zone::{ServerZone, UnknownZone};

/// Settings of every worker session, whatever ALTER DATABASE and ALTER ROLE say.
///
/// Triggers do not fire for a replica: no user code ever runs as the worker. The plans wanted are
/// nested loops over indexes, also when the statistics come from a time when a table was empty.
const SETTINGS: &[(&CStr, &CStr)] = &[
    (c"search_path", c""),
    (c"datestyle", c"ISO"),
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

/// Version of this library, and of the extension that it serves.
pub const LIBRARY_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether this process was last reported as idle.
static IDLE: AtomicBool = AtomicBool::new(false);

/// What statements run through within a transaction.
pub type Client<'conn> = SpiClient<'conn>;

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
    // Rounded up: who sleeps until a time would else look again and again in the last millisecond.
    let millis = i64::try_from(longest.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
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
    IDLE.store(false, Ordering::Relaxed);
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
        }
        fail_if_struck(|| {
            format!(
                "commit: {}",
                activity.to_string_lossy().replacen("pg_hooks: ", "", 1)
            )
        });
        // SAFETY: as above.
        unsafe {
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

/// Shows in pg_stat_activity that the worker waits for something to do, and since when: not since it woke
/// last without finding anything.
pub fn report_idle() {
    if !IDLE.swap(true, Ordering::Relaxed) {
        report_activity(pg_sys::BackendState::STATE_IDLE, None);
    }
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

/// Whether this is the running transaction or a part of it.
pub fn is_own_transaction(transaction: pg_sys::TransactionId) -> bool {
    // SAFETY: looks at the state of this backend; valid for any id.
    unsafe { pg_sys::TransactionIdIsCurrentTransactionId(transaction) }
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
