//! Threads that make an attempt, and which of them are not expected back soon.

use std::time::{Duration, Instant};

/// A thread is expected back for one to two times this. What takes longer is a receiver that is slow, far
/// away or hangs, and says nothing of when the next thread is free.
const SPAN: Duration = Duration::from_millis(10);

/// Counts them by when they began: in this span of time, in the last one, or before.
pub struct Running {
    recent: [usize; 2],
    span: u64,
    span_began: Instant,
}

/// When a thread began.
#[derive(Clone, Copy)]
pub struct Begun(u64);

impl Running {
    pub fn new(now: Instant) -> Running {
        Running {
            recent: [0; 2],
            span: 0,
            span_began: now,
        }
    }

    /// A thread begins an attempt.
    pub fn begin(&mut self, now: Instant) -> Begun {
        self.advance(now);
        self.recent[slot(self.span)] += 1;
        Begun(self.span)
    }

    /// It is back.
    pub fn end(&mut self, Begun(span): Begun, now: Instant) {
        self.advance(now);
        if self.span - span <= 1 {
            self.recent[slot(span)] -= 1;
        }
    }

    /// Threads that are expected back soon.
    pub fn expected(&mut self, now: Instant) -> usize {
        self.advance(now);
        self.recent.iter().sum()
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.span_began).as_micros() / SPAN.as_micros();
        match passed {
            0 => return,
            1 => self.recent[slot(self.span + 1)] = 0,
            _ => self.recent = [0; 2],
        }
        self.span += u64::try_from(passed).unwrap_or(2);
        self.span_began = now;
    }
}

fn slot(span: u64) -> usize {
    usize::from(span % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_that_is_back_soon_was_expected() {
        let start = Instant::now();
        let mut running = Running::new(start);
        let first = running.begin(start);
        let second = running.begin(start + SPAN);
        assert_eq!(running.expected(start + SPAN), 2);
        running.end(first, start + SPAN);
        running.end(second, start + SPAN);
        assert_eq!(running.expected(start + SPAN), 0);
    }

    #[test]
    fn thread_that_stays_away_is_not_expected_and_may_come_back_at_any_time() {
        let start = Instant::now();
        let mut running = Running::new(start);
        let hanging = running.begin(start);
        assert_eq!(running.expected(start + SPAN * 2), 0);
        let prompt = running.begin(start + SPAN * 2);
        assert_eq!(running.expected(start + SPAN * 2), 1);
        running.end(hanging, start + SPAN * 2);
        assert_eq!(running.expected(start + SPAN * 2), 1);
        running.end(prompt, start + SPAN * 2);
        assert_eq!(running.expected(start + SPAN * 500), 0);
    }
}
