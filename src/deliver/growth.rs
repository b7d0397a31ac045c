//! When a waiting job gets a thread of its own instead of waiting for one that is about to be free.

use std::time::{Duration, Instant};

/// This many threads work at once without further questions, and are called at a time when more are needed.
pub const FREE: usize = 8;

/// When no job was taken for this long, the busy threads are taken to be stuck.
const STALLED_AFTER: Duration = Duration::from_millis(2);

/// A pool that is full and starts a job this often (25,000 a second) has threads enough.
const PACE: Duration = Duration::from_micros(40);

/// What the decision depends on.
pub struct Crowd {
    /// Threads that make an attempt and are expected back soon, or are about to make one.
    pub busy: usize,
    /// Most threads there may be.
    pub max_threads: usize,
    /// When the job at the head of the line was submitted.
    pub head_since: Instant,
    /// When the last job was taken out of the line.
    pub last_taken: Instant,
}

/// How long the job at the head of the line is left to the threads that are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// That long; then it is time to look again.
    For(Duration),
    /// Another thread shall take it now.
    Over,
}

impl Crowd {
    /// A receiver that answers in microseconds is served by few threads, as one of them is back before
    /// patience is over. A receiver that hangs, or is far away, lets jobs wait, and then the crowd grows as
    /// fast as threads can be started.
    pub fn patience(&self, now: Instant) -> Patience {
        let stalled = remaining(self.last_taken, STALLED_AFTER, now);
        let waited = remaining(self.head_since, self.longest_wait(), now);
        match (stalled, waited) {
            (Some(stalled), Some(waited)) if self.busy >= FREE => Patience::For(stalled.min(waited)),
            _ => Patience::Over,
        }
    }

    /// In a full line every job waits about `max_threads` times the pace.
    fn longest_wait(&self) -> Duration {
        PACE.saturating_mul(u32::try_from(self.max_threads).unwrap_or(u32::MAX))
            .clamp(Duration::from_millis(1), Duration::from_millis(40))
    }
}

/// What is left at `now` of the `span` that began at `start`; `None` when it is over.
fn remaining(start: Instant, span: Duration, now: Instant) -> Option<Duration> {
    span.checked_sub(now.saturating_duration_since(start))
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// `Crowd::patience` with both instants given as milliseconds ago.
    fn patience(busy: usize, max_threads: usize, head_ms_ago: u32, taken_ms_ago: u32) -> Patience {
        let now = Instant::now() + 1_000 * MS;
        let ago = |ms: u32| now - ms * MS;
        Crowd {
            busy,
            max_threads,
            head_since: ago(head_ms_ago),
            last_taken: ago(taken_ms_ago),
        }
        .patience(now)
    }

    #[test]
    fn few_threads_start_at_once() {
        assert_eq!(patience(FREE - 1, 256, 0, 0), Patience::Over);
    }

    #[test]
    fn busy_threads_that_keep_taking_jobs_are_left_to_it() {
        assert_eq!(patience(FREE, 256, 0, 0), Patience::For(2 * MS));
        assert_eq!(
            patience(FREE, 256, 10, 0),
            Patience::For(Duration::from_micros(240))
        );
    }

    #[test]
    fn job_that_waited_longer_than_a_full_line_takes_gets_a_thread() {
        assert_eq!(patience(FREE, 256, 11, 0), Patience::Over);
        assert_eq!(patience(FREE, 1_000, 39, 0), Patience::For(MS));
        assert_eq!(patience(FREE, 1_000, 40, 0), Patience::Over);
    }

    #[test]
    fn job_gets_a_thread_when_nothing_moves() {
        assert_eq!(patience(FREE, 256, 0, 2), Patience::Over);
    }
}
