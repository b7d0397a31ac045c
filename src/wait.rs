//! What the leader's loop sleeps on: its latch, the eventfd of the I/O threads, the postmaster.
//!
//! The set is made once; building one for each wait costs five times as much (epoll).

use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use pgrx::pg_sys;

use crate::session;

/// Shown as the wait event `Extension` in pg_stat_activity.
const WAIT_EVENT: u32 = pg_sys::PG_WAIT_EXTENSION;

/// Longest sleep of one call.
const LONGEST: Duration = Duration::from_secs(60);

/// A persistent set of events.
pub struct WaitSet {
    set: *mut pg_sys::WaitEventSet,
}

impl WaitSet {
    /// A set of this process's latch and a descriptor that is readable when there are results. The
    /// process ends when the postmaster does.
    pub fn new(results: RawFd) -> WaitSet {
        session::fail_if_struck(|| "wait: set".to_owned());
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
            add(pg_sys::WL_SOCKET_READABLE, results, ptr::null_mut());
            WaitSet { set }
        }
    }

    /// Sleeps until the latch is set, there are results or the timeout is over; resets the latch. A
    /// zero timeout only looks.
    pub fn wait(&self, timeout: Duration) {
        // Rounded up: waking a moment early would find nothing due and ask again.
        let millis = timeout.min(LONGEST).as_micros().div_ceil(1000);
        let mut events = [pg_sys::WaitEvent::default(); 2];
        // SAFETY: the set is valid; the array has the length given.
        unsafe {
            pg_sys::WaitEventSetWait(self.set, millis as i64, events.as_mut_ptr(), 2, WAIT_EVENT);
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
    }
}
