//! Signals and interrupts of a worker process.

use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::{PgTryBuilder, pg_sys};

use super::Failure;

static TERMINATE: AtomicBool = AtomicBool::new(false);
/// Whether the process is about to end, and does what is left to be done.
static ENDING: AtomicBool = AtomicBool::new(false);

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
        // A reload since the fork was ignored: until now PostgreSQL ignores SIGHUP in a background worker.
        pg_sys::ConfigReloadPending = 1;
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
    let is_first = !TERMINATE.swap(true, Ordering::Relaxed) && !ENDING.load(Ordering::Relaxed);
    // SAFETY: plain globals, and SetLatch, which is safe in signal handlers; MyLatch is set for the life of the
    // process. MyProc is null at its very end.
    unsafe {
        // A standby that is gone would keep the process for ever: further commits wait for the disk here alone, and
        // one that waits is safe here already.
        pg_sys::synchronous_commit = pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_LOCAL_FLUSH as i32;
        let waits = pg_sys::MyProc
            .as_ref()
            .is_some_and(|me| me.syncRepState == pg_sys::SYNC_REP_WAITING as i32);
        // What runs is cancelled, also a wait that is about to begin; what it was to do is done at the end.
        if is_first || waits {
            pg_sys::QueryCancelPending = 1;
            pg_sys::InterruptPending = 1;
        }
        pg_sys::SetLatch(pg_sys::MyLatch);
    }
}

/// Whether the process was asked to end.
pub fn terminating() -> bool {
    TERMINATE.load(Ordering::Relaxed)
}

/// From now on SIGTERM cancels nothing: what runs is what is left to be done.
pub fn begin_to_end() {
    ENDING.store(true, Ordering::Relaxed);
    // A cancellation that is pending has nothing to cancel any more.
    check_interrupts();
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
        uninterrupted(|| pgrx::debug1!("pg_hooks worker goes on: {failure}"));
    }
}

/// Runs what may look for interrupts outside of a transaction, as writing to the log does: there a cancellation
/// would be an error that ends the process. Interrupts are acted on later.
pub fn uninterrupted<T>(act: impl FnOnce() -> T) -> T {
    // SAFETY: plain globals of this process, as HOLD_INTERRUPTS and RESUME_INTERRUPTS use them. An error resets the
    // count.
    unsafe { pg_sys::InterruptHoldoffCount += 1 };
    let value = act();
    // SAFETY: as above.
    unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    value
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
        uninterrupted(|| pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP));
    }
    true
}
