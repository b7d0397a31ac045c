//! What the leader's loop sleeps on: its latch, the eventfd of the I/O threads, the postmaster.
//!
//! The sets are made once; building one for each wait costs five times as much (epoll).

use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use pgrx::pg_sys;

/// Shown as the wait event `Extension` in pg_stat_activity.
const WAIT_EVENT: u32 = pg_sys::PG_WAIT_EXTENSION;

/// Longest sleep of one call.
const LONGEST: Duration = Duration::from_secs(60);

/// Persistent sets of events.
pub struct WaitSet {
    with_results: *mut pg_sys::WaitEventSet,
    without_results: *mut pg_sys::WaitEventSet,
}

impl WaitSet {
    /// Sets of this process's latch and a descriptor that is readable when there are results. The
    /// process ends when the postmaster does.
    pub fn new(results: RawFd) -> WaitSet {
        WaitSet {
            with_results: event_set(Some(results)),
            without_results: event_set(None),
        }
    }

    /// Sleeps until the latch is set, the timeout is over or, if they are asked for, there are
    /// results; resets the latch. A zero timeout only looks.
    pub fn wait(&self, timeout: Duration, for_results: bool) {
        let set = if for_results {
            self.with_results
        } else {
            self.without_results
        };
        // Rounded up: waking a moment early would find nothing due and ask again.
        let millis = timeout.min(LONGEST).as_micros().div_ceil(1000);
        let mut events = [pg_sys::WaitEvent::default(); 2];
        // SAFETY: the set is valid; the array has the length given.
        unsafe {
            pg_sys::WaitEventSetWait(set, millis as i64, events.as_mut_ptr(), 2, WAIT_EVENT);
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
    }
}

fn event_set(readable: Option<RawFd>) -> *mut pg_sys::WaitEventSet {
    // SAFETY: made once per process and kept to its end; latch and descriptor live as long.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
        let set = pg_sys::CreateWaitEventSet(pg_sys::TopMemoryContext, 3);
        #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
        let set = pg_sys::CreateWaitEventSet(ptr::null_mut(), 3);
        let add = |events, fd, latch| {
            pg_sys::AddWaitEventToSet(set, events, fd, latch, ptr::null_mut());
        };
        add(pg_sys::WL_LATCH_SET, -1, pg_sys::MyLatch);
        add(pg_sys::WL_EXIT_ON_PM_DEATH, -1, ptr::null_mut());
        if let Some(readable) = readable {
            add(pg_sys::WL_SOCKET_READABLE, readable, ptr::null_mut());
        }
        set
    }
}
