//! A cancelled message is over, whatever still comes back for it.

use std::time::Duration;

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Answer, Behaviour};

use crate::site::{Site, ms, run};

/// Time in which a test does something, before a message is due.
const LATER: &str = "interval '5 s'";
/// Longer than a message waits that is due later, or for its retry.
const PERIOD: Duration = ms(6_500);

/// Says nothing until it is released, then this.
fn held(status: u16) -> Behaviour {
    Behaviour::Barrier(usize::MAX, Answer::new(status))
}

#[track_caller]
fn cancel(site: &mut Site, id: i64) -> bool {
    site.value_with("select hooks.cancel($1)", &[&id])
}

/// Asserts that the message stays cancelled and is not sent again.
#[track_caller]
fn assert_stays_cancelled(site: &mut Site, id: i64, arrived: usize) {
    never_within("it did not stay cancelled", PERIOD, || {
        site.state(id).as_deref() != Some("cancelled") || site.arrived("q") > arrived
    });
    let rows = "select (select count(*) from hooks.message_log) + (select count(*) from hooks.message)
                + (select count(*) from hooks.dead_letter)";
    assert_eq!(site.value::<i64>(rows), 1);
}

#[test]
fn scheduled_message_is_cancelled_for_good() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id: i64 = site.value(&format!("select hooks.send('q', 'x', at => now() + {LATER})"));
    assert!(cancel(&mut site, id));
    assert!(!cancel(&mut site, id));
    assert_stays_cancelled(&mut site, id, 0);
}

#[test]
fn message_that_waits_for_its_retry_is_cancelled() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", &format!(", retry_schedule => array[{LATER}]"));
    let id = site.send("q", "x");
    site.wait_for_state(id, "retrying");
    assert!(cancel(&mut site, id));
    let arrived = site.arrived("q");
    assert_stays_cancelled(&mut site, id, arrived);
    let attempts: i32 = site.value_with("select attempts from hooks.status($1)", &[&id]);
    assert_eq!(usize::try_from(attempts), Ok(arrived));
}

#[test]
fn late_result_of_a_cancelled_message_changes_nothing() {
    for status in [200, 500] {
        let mut site = Site::settled();
        site.receiver.on("/q", held(status));
        site.queue(
            "q",
            ", max_attempts => 2, min_backoff => '10 ms', max_backoff => '10 ms'",
        );
        let id = site.send("q", "x");
        site.arrival("q");
        assert!(cancel(&mut site, id));
        assert_eq!(site.state(id).as_deref(), Some("cancelled"));
        site.receiver.release("/q");
        // The request was made, so there is a record of it.
        assert_eq!(site.attempt(id).status, i16::try_from(status).ok());
        assert_stays_cancelled(&mut site, id, 1);
    }
}

#[test]
fn late_result_of_an_attempt_does_not_end_the_one_after_a_change() {
    let mut site = Site::settled();
    site.receiver.on("/q", held(200));
    site.queue("q", "");
    let id = site.send("q", "x");
    site.arrival("q");
    // As if a later attempt had been recorded meanwhile.
    site.run(&format!(
        "update hooks.message set attempt = 5, due_at = now() + interval '1 hour' where id = {id}"
    ));
    site.receiver.release("/q");
    site.attempt(id);
    never_within("the late result ended it", ms(200), || {
        site.state(id).as_deref() != Some("retrying")
    });
}

#[test]
fn cancelled_message_frees_its_slot_when_its_result_comes() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", max_in_flight => 1");
    let id = site.send("q", "x");
    site.arrival("q");
    let next = site.send("q", "next");
    assert!(cancel(&mut site, id));
    site.receiver.on("/q", Behaviour::status(200));
    site.receiver.release("/q");
    site.wait_for_state(next, "delivered");
    assert_eq!(site.state(id).as_deref(), Some("cancelled"));
}

#[test]
fn cancel_that_rolls_back_cancels_nothing() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id: i64 = site.value("select hooks.send('q', 'x', at => now() + interval '100 ms')");
    let mut other = site.connect();
    run(&mut other, &format!("begin; select hooks.cancel({id})"));
    // It is sent at its time all the same, and its result is recorded once that is decided.
    site.arrival("q");
    run(&mut other, "rollback");
    site.wait_for_state(id, "delivered");
    assert_eq!((site.arrived("q"), site.attempts(id).len()), (1, 1));
}

#[test]
fn finished_or_unknown_message_cannot_be_cancelled() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id = site.send("q", "x");
    site.wait_for_state(id, "delivered");
    assert!(!cancel(&mut site, id));
    assert!(!cancel(&mut site, id + 1_000));
    assert_eq!(site.state(id).as_deref(), Some("delivered"));
    assert_eq!(site.state(id + 1_000), None);
}

#[test]
fn deleted_message_is_not_sent() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id: i64 = site.value(&format!("select hooks.send('q', 'x', at => now() + {LATER})"));
    site.run("delete from hooks.message");
    never_within("a deleted message was sent", PERIOD, || site.arrived("q") > 0);
    assert_eq!(site.state(id), None);
}
