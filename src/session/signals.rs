//! Signals and interrupts of a worker process.

use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::{PgTryBuilder, pg_sys};

use super::Failure;

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
