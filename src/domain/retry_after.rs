//! The `Retry-After` header of an answer.

use std::time::{Duration, SystemTime};

use super::time::Timestamp;

/// The longest wait that a receiver can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// How long the receiver asks us to wait from `now` on, at most [`MAX_RETRY_AFTER`].
///
/// `value` is a number of seconds or an HTTP date (RFC 9110, section 10.2.3); a date in the past means
/// not at all. `None` if it is neither.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a very long wait.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        timestamp(httpdate::parse_http_date(value).ok()?).since(now)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn timestamp(time: SystemTime) -> Timestamp {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(Timestamp::MIN, |elapsed| Timestamp(0).after(elapsed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 1994-11-06 08:49:37 UTC, the date of the examples in RFC 9110.
    const NOW: Timestamp = Timestamp(784_111_777_000_000);

    #[test]
    fn seconds_and_dates_are_understood_and_everything_else_is_ignored() {
        let cases = [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7\t", Some(7)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1 2", None),
            ("0x10", None),
            ("१२", None),
            ("soon", None),
            ("Sun, 06 Nov 1994", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(parse(value, NOW), seconds.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn a_date_counts_from_the_microsecond_of_now() {
        let now = Timestamp(NOW.0 + 250_000);
        assert_eq!(
            parse("Sun, 06 Nov 1994 08:49:38 GMT", now),
            Some(Duration::from_millis(750))
        );
    }

    #[test]
    fn extreme_clocks_do_not_overflow() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse(date, Timestamp::MIN), Some(MAX_RETRY_AFTER));
        assert_eq!(parse(date, Timestamp::MAX), Some(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn whatever_a_receiver_sends_the_wait_is_capped(value in ".{0,40}", now: i64) {
            prop_assert!(parse(&value, Timestamp(now)).is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        }
    }
}
