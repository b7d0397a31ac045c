//! The worker's side of a database session: connection, settings, transactions, activity.

mod alarm;
mod bytes;
mod clock;
mod commits;
mod failure;
mod reserve;
mod rows;
mod server;
mod signals;
#[cfg(feature = "faults")]
mod statements;
mod zone;

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::spi::SpiClient;
use pgrx::{PgTryBuilder, Spi, pg_sys};

use crate::log;

pub use alarm::{has_alarm, set_alarm, stop_alarm};
pub use bytes::Bytes;
pub use clock::{from_micros, from_postgres, micros, now, time_worked, to_postgres, unix_time};
pub use commits::flush_commits;
pub use failure::{Failure, fail_if_struck};
pub use reserve::reserve_for_errors;
pub use rows::{Value, rows_of, value};
pub use server::{is_restoring, place};
pub use signals::{
    begin_to_end, check_interrupts, end_in_order_on_sigterm, handle_signals, reload_pending, reload_settings,
    terminating, uninterrupted,
};
#[cfg(feature = "faults")]
pub use statements::ask_for_each_statement;
pub use zone::{ServerZone, UnknownZone};

/// Settings of every worker session, whatever ALTER DATABASE and ALTER ROLE say.
///
/// Triggers do not fire for a replica: no user code ever runs as the worker. The plans wanted are
/// nested loops over indexes, also when the statistics come from a time when a table was empty.
const SETTINGS: &[(&CStr, &CStr)] = &[
    (c"role", c"none"),
    (c"search_path", c""),
    (c"datestyle", c"ISO"),
    (c"intervalstyle", c"postgres"),
    (c"bytea_output", c"hex"),
    (c"extra_float_digits", c"1"),
    (c"array_nulls", c"on"),
    (c"standard_conforming_strings", c"on"),
    (c"transform_null_equals", c"off"),
    (c"default_table_access_method", c"heap"),
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
    (c"enable_nestloop", c"on"),
    (c"enable_indexscan", c"on"),
    (c"enable_indexonlyscan", c"on"),
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
    fail_if_struck(|| "worker: connect".to_owned());
    // SAFETY: called once, first thing in a background worker that was registered for connections.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
        pg_sys::pgstat_report_appname(c"pg_hooks".as_ptr());
    }
    alarm::own_alarm();
    reload_settings();
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
    reload_settings();
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
        reserve_for_errors()?;
        // SAFETY: a background worker between transactions; the snapshot is popped before the commit.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        reserve_for_errors()?;
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
        abort();
    }
    report_statistics(false);
    result
}

fn abort() {
    let aborted = PgTryBuilder::new(|| {
        // SAFETY: legal in every transaction state, also in none.
        unsafe { pg_sys::AbortCurrentTransaction() };
        Ok(())
    })
    .catch_others(|error| Err(Failure::from(error)))
    .execute();
    if let Err(failure) = aborted {
        // In what state the session is, nobody knows.
        log::could_not_abort(failure);
        exit_for_restart()
    }
}

/// What was counted, at once or if a second has passed since the last time. Without it autovacuum would not learn
/// of dead rows.
fn report_statistics(force: bool) {
    let reported = PgTryBuilder::new(|| {
        // SAFETY: called between transactions, as PostgreSQL's own workers do.
        unsafe { pg_sys::pgstat_report_stat(force) };
        Ok(())
    })
    .catch_others(|error| Err(Failure::from(error)))
    .execute();
    if let Err(failure) = reported {
        uninterrupted(|| pgrx::debug1!("pg_hooks worker goes on without reporting statistics: {failure}"));
    }
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
    report_statistics(true);
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
    exit(1)
}

/// Ends the process for good.
pub fn exit_for_good() -> ! {
    exit(0)
}

fn exit(status: i32) -> ! {
    // SAFETY: runs the exit callbacks and ends the process.
    unsafe { pg_sys::proc_exit(status) };
    // What pgrx makes of the headers of 18 has lost that it does not return.
    #[cfg(feature = "pg18")]
    std::process::abort()
}
