//! Intervals compare as if a month had 30 days and a year 360: limits hold for the seconds that are waited.

use crate::site::{INVALID, Site};

#[test]
fn interval_of_years_less_days_is_measured_in_seconds() {
    let mut site = Site::new();
    site.queue("q", "");
    for policy in [
        "timeout => '1 year -360 days 1 second'",
        "timeout => '-1 year 360 days 100 seconds'",
        "timeout => '1 month -30 days 301 seconds'",
        "retry_schedule => array['1200 years -432000 days']::interval[]",
        "retry_schedule => array['1 s', '-1200 years 432000 days']::interval[]",
        "min_backoff => '1200 years -432000 days', max_backoff => '1200 years -432000 days'",
        "min_backoff => '1 second', max_backoff => '1200 years -432000 days'",
        "min_backoff => '-1 year 360 days 1 second', max_backoff => '1 second'",
        "min_backoff => '1 year -360 days', max_backoff => '5 days'",
        "rate_interval => '1 year -364 days 1 second'",
        "rate_interval => '-1 year 360 days 1 second'",
        "breaker_window => '1 year -364 days 1 second'",
        "breaker_open_time => '-1 year 360 days 30 seconds'",
    ] {
        for call in [
            format!("select hooks.create_queue('n', 'https://example.com/', {policy})"),
            format!("select hooks.alter_queue('q', {policy})"),
        ] {
            let refused = site.refusal(&call);
            assert_eq!(refused.code, INVALID, "{call}: {refused:?}");
            assert!(refused.hint.is_some(), "{refused:?}");
        }
        let plain = policy.replace("=>", "=");
        let refused = site.refusal(&format!("update hooks.queue set {plain}"));
        assert_eq!(refused.code, INVALID, "{plain}: {refused:?}");
    }
}
