//! What a thread does meanwhile, and that it ends with those who wait for it, however they end.
//!
//! A [`std::thread::scope`] waits for its threads also when its closure has panicked. A thread that looks whether it
//! is to go on is told by a [`StopAtEnd`] in that closure. One that waits for a lock gets it when the closure goes, if
//! the session that holds the lock was moved in there.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets its flag when it goes, also when the test has failed.
pub struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
