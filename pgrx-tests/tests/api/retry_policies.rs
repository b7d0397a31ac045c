//! Retry policies that no queue can have.

use crate::policies::{assert_policy_refused, assert_values_refused, database_with_queue};

#[test]
fn impossible_retry_schedule_is_refused() {
    let endless = "array_fill('1 s'::interval, array[101])";
    assert_values_refused(
        "retry_schedule",
        &["'{}'", "'{1 s, null}'", "'{1 s, -1 s}'", "'{31 days}'", endless],
        "retry_schedule must hold 1 to 100 delays of 0 to 30 days",
        "Give intervals such as array['5 seconds', '5 minutes']::interval[].",
    );
}

#[test]
fn impossible_backoff_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    let pair = (
        "min_backoff and max_backoff go together",
        "Give both, or neither for the schedule of Standard Webhooks.",
    );
    let order = (
        "min_backoff must not exceed max_backoff",
        "Exchange the two values.",
    );
    let range = (
        "backoff must be more than 0 and at most 30 days",
        "Give intervals such as '1 second' and '1 hour'.",
    );
    let cases = [
        ("'1 s'", "null", pair),
        ("null", "'1 s'", pair),
        ("'2 s'", "'1 s'", order),
        ("'0'", "'1 s'", range),
        ("'0'", "'0'", range),
        ("'-1 s'", "'1 s'", range),
        ("'1 s'", "'31 days'", range),
    ];
    for (min, max, (message, hint)) in cases {
        let columns = [("min_backoff", min), ("max_backoff", max)];
        assert_policy_refused(&mut client, &columns, message, hint);
    }
}

#[test]
fn retry_schedule_and_backoff_together_are_refused() {
    let database = database_with_queue();
    let columns = [
        ("retry_schedule", "'{1 s}'"),
        ("min_backoff", "'1 s'"),
        ("max_backoff", "'2 s'"),
    ];
    assert_policy_refused(
        &mut database.connect(),
        &columns,
        "retry_schedule and backoff exclude each other",
        "Give either retry_schedule or min_backoff and max_backoff.",
    );
}
