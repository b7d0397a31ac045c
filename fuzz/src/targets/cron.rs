//! Schedules.

use pg_hooks::domain::cron::{Schedule, Zone};
use pg_hooks::domain::time::Timestamp;

/// Clocks that change by an hour, forward and back, twice in each 200 days.
struct Zigzag;

impl Zone for Zigzag {
    fn utc_offset(&self, at: Timestamp) -> i32 {
        const CHANGE: i64 = 100 * 86_400;
        if at.unix_seconds().div_euclid(CHANGE) % 2 == 0 {
            3600
        } else {
            7200
        }
    }
}

/// Whatever is accepted goes on, from any moment.
pub fn run(data: &[u8]) {
    let Some((seconds, text)) = data.split_first_chunk::<4>() else {
        return;
    };
    let Ok(text) = str::from_utf8(text) else { return };
    let schedule: Schedule = match text.parse() {
        Ok(schedule) => schedule,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let mut at = Timestamp(i64::from(u32::from_le_bytes(*seconds)) * 1_000_000);
    for _ in 0..5 {
        let Some(next) = schedule.next_after(at, &Zigzag) else {
            return;
        };
        assert!(next > at);
        assert_eq!(next.0 % 1_000_000, 0);
        at = next;
    }
}
