//! The header `Retry-After` of an answer.

use pg_hooks::domain::retry_after::{MAX_RETRY_AFTER, parse};
use pg_hooks::domain::time::Timestamp;

/// Nobody waits for longer than the longest wait, whatever the time.
pub fn run(data: &[u8]) {
    let Some((now, value)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Ok(value) = str::from_utf8(value) else { return };
    for now in [
        Timestamp(i64::from_le_bytes(*now)),
        Timestamp::MIN,
        Timestamp::MAX,
    ] {
        assert!(parse(value, now).is_none_or(|wait| wait <= MAX_RETRY_AFTER));
    }
}
