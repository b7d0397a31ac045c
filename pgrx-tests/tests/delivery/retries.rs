//! What was not accepted is sent again, as often and as far apart as the queue says.

use std::time::Duration;

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Answer, Behaviour};

use crate::site::{Attempt, SOON, Site, assert_within, between, ms};

/// From the end of an attempt to when its retry is due, for a worker that is busy elsewhere.
const SLACK: Duration = ms(15_000);

/// Asserts that an attempt began after the one before by `delay`, give or take the jitter.
#[track_caller]
fn assert_delayed(before: &Attempt, after: &Attempt, delay: Duration) {
    let what = format!("from attempt {} to {}", before.number, after.number);
    let range = delay.mul_f64(0.8)..=delay.mul_f64(1.2) + SLACK;
    assert_within(what, between(before.ended(), after.began), range);
}

#[test]
fn failing_receiver_gets_the_message_until_it_accepts() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(3, 503));
    site.queue("q", ", min_backoff => '100 ms', max_backoff => '250 ms'");
    let id = site.send("q", "again and again");
    site.wait_for_state(id, "delivered");
    let attempts = site.attempts(id);
    let refused = (Some(503), Some("status"));
    let results: Vec<_> = attempts.iter().map(Attempt::result).collect();
    assert_eq!(results, [refused, refused, refused, (Some(200), None)]);
    assert_delayed(&attempts[0], &attempts[1], ms(100));
    assert_delayed(&attempts[1], &attempts[2], ms(200));
    assert_delayed(&attempts[2], &attempts[3], ms(250));
    assert!(
        site.arrivals("q", 4)
            .iter()
            .all(|request| request.text() == "again and again")
    );
    let status = site.row(
        "select attempts, last_status, last_error from hooks.status($1)",
        &[&id],
    );
    assert_eq!(
        (status.get::<_, i32>(0), status.get::<_, Option<i16>>(1)),
        (4, Some(200))
    );
    assert_eq!(status.get::<_, Option<&str>>(2), None);
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 0);
}

#[test]
fn retry_schedule_is_followed_and_its_last_delay_repeats() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(3, 500));
    site.queue("q", ", retry_schedule => array['0', '300 ms']::interval[]");
    let id = site.send("q", "x");
    site.wait_for_state(id, "delivered");
    let attempts = site.attempts(id);
    assert_delayed(&attempts[0], &attempts[1], ms(0));
    assert_delayed(&attempts[1], &attempts[2], ms(300));
    assert_delayed(&attempts[2], &attempts[3], ms(300));
}

#[test]
fn jitter_spreads_retries_by_a_fifth_to_either_side() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue(
        "q",
        ", retry_schedule => array['100 seconds']::interval[], breaker_threshold => null",
    );
    site.run("select hooks.send('q', n::text) from generate_series(1, 40) as n");
    site.wait_until("select count(*) = 40 from hooks.message where attempt = 1");
    let delays =
        "select extract(epoch from m.due_at - a.attempted_at)::float8 - a.duration_ms / 1000 as delay
                  from hooks.message as m join hooks.attempt as a on a.message_id = m.id";
    let row = site.row(
        &format!("select min(delay), max(delay) from ({delays}) as d"),
        &[],
    );
    let (least, most): (f64, f64) = (row.get(0), row.get(1));
    assert!(
        least >= 80.0 && most <= 120.0 + SLACK.as_secs_f64(),
        "{least} to {most}"
    );
    assert!(
        least < 95.0 && most > 105.0,
        "40 delays lie between {least} and {most}"
    );
}

#[test]
fn queue_without_retry_policy_has_the_schedule_of_standard_webhooks() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", "");
    let id = site.send("q", "x");
    let first = &site.wait_for_attempts(id, 1)[0];
    site.wait_for_state(id, "retrying");
    assert_within(
        "first retry",
        between(first.ended(), site.due_at(id)),
        ms(4_000)..=ms(6_000) + SLACK,
    );
    // As if 5 s had passed.
    site.run("update hooks.message set due_at = now()");
    let second = &site.wait_for_attempts(id, 2)[1];
    site.wait_until("select attempt = 2 from hooks.message");
    let minute = Duration::from_secs(60);
    assert_within(
        "second retry",
        between(second.ended(), site.due_at(id)),
        4 * minute..=6 * minute + SLACK,
    );
}

#[test]
fn queue_with_one_attempt_never_retries() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue(
        "q",
        ", max_attempts => 1, min_backoff => '1 ms', max_backoff => '1 ms'",
    );
    let id = site.send("q", "once");
    site.wait_for_state(id, "dead");
    never_within("it was sent again", ms(300), || site.arrived("q") > 1);
    assert_eq!(site.attempts(id).len(), 1);
}

#[test]
fn retry_after_lengthens_the_delay_and_adds_no_attempt() {
    let mut site = Site::settled();
    let later = Answer::new(429).header("retry-after", "1");
    site.receiver.on("/q", Behaviour::Answer(later));
    site.queue(
        "q",
        ", max_attempts => 2, min_backoff => '10 ms', max_backoff => '10 ms'",
    );
    let id = site.send("q", "x");
    site.wait_for_state(id, "dead");
    let attempts = site.attempts(id);
    assert_eq!(attempts.len(), 2);
    assert_within(
        "the delay",
        between(attempts[0].ended(), attempts[1].began),
        ms(1_000)..=ms(1_000) + SLACK,
    );
}

#[test]
fn message_that_waits_for_its_retry_holds_nobody_back() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue(
        "q",
        ", max_in_flight => 1, retry_schedule => array['1 hour']::interval[]",
    );
    let failed = site.send("q", "fails");
    site.wait_for_state(failed, "retrying");
    let others: Vec<i64> = (0..5).map(|n| site.send("q", &n.to_string())).collect();
    others
        .into_iter()
        .for_each(|id| site.wait_for_state(id, "delivered"));
    assert_eq!(site.state(failed).as_deref(), Some("retrying"));
    site.receiver.wait_for("/q", 6, SOON);
}
