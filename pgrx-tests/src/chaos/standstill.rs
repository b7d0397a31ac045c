//! Moments in which the machine itself stood still, for which nobody under test is to blame.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::journal::now_us;

const LOOKS_EACH: Duration = Duration::from_millis(50);
/// A thread that only waits is later than this when nobody runs.
const NOTICED_US: i64 = 500_000;

/// Times of the real clock in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Standstill {
    pub from_us: i64,
    pub until_us: i64,
}

/// Looks for them until it is dropped.
pub struct Watch {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Standstill>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn start() -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::default());
        let thread = std::thread::spawn({
            let (over, seen) = (Arc::clone(&over), Arc::clone(&seen));
            move || look(&over, &seen)
        });
        Watch {
            over,
            seen,
            thread: Some(thread),
        }
    }

    pub fn seen(&self) -> Vec<Standstill> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(over: &AtomicBool, seen: &Mutex<Vec<Standstill>>) {
    while !over.load(Ordering::Relaxed) {
        let from_us = now_us();
        std::thread::sleep(LOOKS_EACH);
        let until_us = now_us();
        if until_us - from_us > NOTICED_US {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(Standstill { from_us, until_us });
        }
    }
}
