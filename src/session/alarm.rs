//! An alarm for what runs within a statement of the worker: the statement is cancelled when it goes off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whether this process is a worker.
static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// PostgreSQL's STATEMENT_TIMEOUT, which every process that connects has registered, and arms only for what a
/// client sends.
const STATEMENT_TIMEOUT: i32 = 3;

// Not "C-unwind": they raise nothing for a timeout that is registered.
unsafe extern "C" {
    fn enable_timeout_after(id: i32, delay_ms: i32);
    fn disable_timeout(id: i32, keep_indicator: bool);
}

/// This process is a worker: no client has set the alarm.
pub fn own_alarm() {
    IS_WORKER.store(true, Ordering::Relaxed);
}

/// Whether the alarm is ours to set.
pub fn has_alarm() -> bool {
    IS_WORKER.load(Ordering::Relaxed)
}

/// Has what runs cancelled after this time.
pub fn set_alarm(after: Duration) {
    let millis = i32::try_from(after.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: a timeout that InitPostgres registered; this process connected to a database.
    unsafe { enable_timeout_after(STATEMENT_TIMEOUT, millis) };
}

/// Takes the alarm back. If it has gone off just now, the error comes at the next check for interrupts.
pub fn stop_alarm() {
    // SAFETY: as above; harmless when it is not set.
    unsafe { disable_timeout(STATEMENT_TIMEOUT, false) };
}
