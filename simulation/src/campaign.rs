//! Many seeds on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::broken::{Broken, attempt};
use crate::history::Simulation;

/// Seeds that a thread takes at once.
const PORTION: u64 = 64;

/// What came of a campaign.
pub struct Campaign {
    /// Histories that were run.
    pub histories: u64,
    /// Events of all of them.
    pub events: u64,
    pub took: Duration,
    /// The lowest seed found that breaks a rule.
    pub broken: Option<(u64, Broken)>,
}

/// Runs the histories of the seeds from `first` to `last`, and tells `progress` each second how many are done.
/// Ends soon after the first that breaks a rule.
pub fn run<S: Simulation>(first: u64, last: u64, threads: usize, progress: impl Fn(u64)) -> Campaign {
    let next = AtomicU64::new(first);
    let (histories, events) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let broken: Mutex<Option<(u64, Broken)>> = Mutex::new(None);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let from = next.fetch_add(PORTION, Ordering::Relaxed);
            if from > last {
                return;
            }
            for seed in from..=last.min(from + PORTION - 1) {
                let history = S::make_up(seed);
                match attempt::<S>(&history.setup, &history.events) {
                    Ok(taken) => events.fetch_add(taken, Ordering::Relaxed),
                    Err(found) => {
                        failed.store(true, Ordering::Relaxed);
                        let mut broken = broken.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        if broken.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                            *broken = Some((seed, found));
                        }
                        return;
                    }
                };
                histories.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(50));
            progress(histories.load(Ordering::Relaxed));
        }
    });
    Campaign {
        histories: histories.into_inner(),
        events: events.into_inner(),
        took: began.elapsed(),
        broken: broken
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner()),
    }
}
