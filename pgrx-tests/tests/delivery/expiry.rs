//! Messages that expire: no attempt starts from then on.

use std::time::SystemTime;

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::wait::never_within;

use crate::site::{Site, arrived_at, ms};

/// Sends a text that expires after so many milliseconds; gives its id.
#[track_caller]
fn send(site: &mut Site, body: &str, expires_in: i32, options: &str) -> i64 {
    site.value(&format!(
        "select hooks.send('q', '{body}', expires_at => now() + interval '{expires_in} ms'{options})"
    ))
}

/// State, attempts and last status in the log of finished messages.
fn logged(site: &mut Site, id: i64) -> (String, i32, Option<i16>) {
    let row = site.row(
        "select state, attempts, last_status from hooks.message_log where id = $1",
        &[&id],
    );
    (row.get(0), row.get(1), row.get(2))
}

/// Waits until this message is finished.
fn wait_for_end(site: &mut Site, id: i64) {
    site.wait_until(&format!(
        "select exists (select from hooks.message_log where id = {id})"
    ));
}

#[test]
fn message_that_is_sent_in_time_is_delivered() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id = send(&mut site, "x", 60_000, "");
    site.wait_for_state(id, "delivered");
    let forever: i64 = site.value("select hooks.send('q', 'x', expires_at => 'infinity')");
    site.wait_for_state(forever, "delivered");
}

#[test]
fn message_that_expires_while_its_queue_is_paused_ends_at_resume_without_an_attempt() {
    let mut site = Site::settled();
    site.queue("q", ", active => false");
    let expiring = send(&mut site, "x", 100, "");
    let lasting = site.send("q", "lasting");
    site.wait_for_state(expiring, "expired");
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 2);
    site.run("select hooks.resume('q')");
    wait_for_end(&mut site, expiring);
    assert_eq!(logged(&mut site, expiring), ("expired".to_owned(), 0, None));
    site.wait_for_state(lasting, "delivered");
    assert_eq!(site.arrival("q").text(), "lasting");
    assert_eq!(site.state(expiring).as_deref(), Some("expired"));
    assert!(site.attempts(expiring).is_empty());
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
}

#[test]
fn retry_that_would_come_after_the_end_ends_the_message_at_once() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", retry_schedule => array['1 hour']::interval[]");
    let id = send(&mut site, "x", 60_000, "");
    wait_for_end(&mut site, id);
    assert_eq!(logged(&mut site, id), ("expired".to_owned(), 1, Some(500)));
    let status = site.row(
        "select state, attempts, last_status, last_error, finished_at < created_at + interval '1 min'
         from hooks.status($1)",
        &[&id],
    );
    assert_eq!(
        (
            status.get(0),
            status.get(1),
            status.get(2),
            status.get(3),
            status.get(4)
        ),
        ("expired", 1, 500_i16, "receiver answered 500", true)
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
}

#[test]
fn retries_go_on_until_the_end_and_none_begins_after_it() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue(
        "q",
        ", max_attempts => 100, retry_schedule => array['200 ms']::interval[], breaker_threshold => null",
    );
    let end: SystemTime = site.value("select clock_timestamp() + interval '6 s'");
    let id: i64 = site.value_with("select hooks.send('q', 'x', expires_at => $1)", &[&end]);
    wait_for_end(&mut site, id);
    let (state, attempts, status) = logged(&mut site, id);
    assert_eq!((state.as_str(), status), ("expired", Some(500)));
    assert!(attempts > 1, "{attempts} attempts");
    let attempts = site.attempts(id);
    assert!(attempts.iter().all(|attempt| attempt.began < end));
    assert_eq!(site.arrived("q"), attempts.len());
}

#[test]
fn attempt_that_is_on_the_wire_at_the_end_may_still_deliver() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", timeout => '60 s'");
    let id = send(&mut site, "x", 8_000, "");
    let end: SystemTime = site.value("select expires_at from hooks.message");
    assert!(arrived_at(&site.arrival("q")) < end);
    site.wait_until("select expires_at < clock_timestamp() from hooks.message");
    site.receiver.release("/q");
    wait_for_end(&mut site, id);
    assert_eq!(logged(&mut site, id), ("delivered".to_owned(), 1, Some(200)));
}

#[test]
fn message_for_later_expires_after_it_was_due() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", retry_schedule => array['1 hour']::interval[]");
    let id = send(&mut site, "x", 60_000, ", at => now() + interval '5 s'");
    assert_eq!(site.state(id).as_deref(), Some("scheduled"));
    wait_for_end(&mut site, id);
    assert_eq!(logged(&mut site, id), ("expired".to_owned(), 1, Some(500)));
}

#[test]
fn expired_message_becomes_a_dead_letter_where_the_queue_says_so() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue(
        "q",
        ", bury_expired => true, retry_schedule => array['1 hour']::interval[]",
    );
    let tried = send(&mut site, "tried", 60_000, "");
    site.wait_for_state(tried, "dead");
    site.run("select hooks.pause('q')");
    let untried = send(
        &mut site,
        "untried",
        50,
        ", ordering_key => 'a', headers => '{\"x\": \"y\"}'",
    );
    site.wait_for_state(untried, "expired");
    site.run("select hooks.resume('q')");
    site.wait_for_state(untried, "dead");
    let letters = "select id, attempts, last_status, error_class, body, headers ->> 'x', ordering_key
                   from hooks.dead_letter order by id";
    let letters = site.client.query(letters, &[]).unwrap();
    let seen: Vec<(i64, i32, Option<i16>, &str)> = letters
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(4)))
        .collect();
    assert_eq!(
        seen,
        [(tried, 1, Some(500), "tried"), (untried, 0, None, "untried")]
    );
    let kept: (&str, &str, &str) = (letters[1].get(3), letters[1].get(5), letters[1].get(6));
    assert_eq!(kept, ("expired", "y", "a"));
    assert_eq!(site.arrived("q"), 1);
}

#[test]
fn redriven_message_has_no_end() {
    let mut site = Site::settled();
    site.queue("q", ", bury_expired => true, active => false");
    let id = send(&mut site, "x", 50, "");
    site.wait_for_state(id, "expired");
    site.run("select hooks.resume('q')");
    site.wait_for_state(id, "dead");
    assert_eq!(site.arrived("q"), 0);
    site.run(&format!("select hooks.redrive({id})"));
    site.wait_for_state(id, "delivered");
    assert_eq!(site.arrival("q").text(), "x");
}

#[test]
fn end_may_be_moved_by_a_plain_update() {
    let mut site = Site::settled();
    site.queue("q", ", active => false");
    let lasting = send(&mut site, "lasting", 50, "");
    let expiring = site.send("q", "expiring");
    site.wait_for_state(lasting, "expired");
    site.run(&format!(
        "update hooks.message set expires_at = null where id = {lasting};
         update hooks.message set expires_at = now() + interval '50 ms' where id = {expiring}"
    ));
    site.wait_for_state(expiring, "expired");
    site.run("select hooks.resume('q')");
    site.wait_for_state(lasting, "delivered");
    wait_for_end(&mut site, expiring);
    assert_eq!(logged(&mut site, expiring).0, "expired");
}

#[test]
fn expired_first_of_a_key_lets_the_next_go() {
    let mut site = Site::settled();
    site.queue(
        "q",
        ", active => false, ordering_policy => 'block', retry_schedule => array['1 hour']::interval[]",
    );
    let first = send(&mut site, "a1", 50, ", ordering_key => 'a'");
    let second = send(&mut site, "a2", 60_000, ", ordering_key => 'a'");
    site.wait_for_state(first, "expired");
    site.run("select hooks.resume('q')");
    site.wait_for_state(second, "delivered");
    assert_eq!(site.arrival("q").text(), "a2");
    // The next attempt of this one would come too late.
    site.receiver.on("/q", Behaviour::failing(1, 500));
    let failing = send(&mut site, "a3", 60_000, ", ordering_key => 'a'");
    let next = send(&mut site, "a4", 60_000, ", ordering_key => 'a'");
    site.wait_for_state(next, "delivered");
    assert_eq!(logged(&mut site, failing), ("expired".to_owned(), 1, Some(500)));
}

#[test]
fn message_that_expires_behind_another_of_its_key_is_not_sent() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue("q", ", retry_schedule => array['5 s']::interval[]");
    site.run("begin");
    let first: i64 = site.value("select hooks.send('q', 'a1', ordering_key => 'a')");
    let second = send(&mut site, "a2", 100, ", ordering_key => 'a'");
    let third: i64 = site.value("select hooks.send('q', 'a3', ordering_key => 'a')");
    site.run("commit");
    site.wait_for_state(third, "delivered");
    let bodies = site.arrivals("q", 3);
    let bodies: Vec<&str> = bodies.iter().map(|request| request.text()).collect();
    assert_eq!(bodies, ["a1", "a1", "a3"]);
    assert_eq!(logged(&mut site, second), ("expired".to_owned(), 0, None));
    assert_eq!(site.state(first).as_deref(), Some("delivered"));
}

#[test]
fn buried_expired_message_blocks_its_key_where_dead_letters_do() {
    let mut site = Site::settled();
    site.queue(
        "q",
        ", active => false, ordering_policy => 'block', bury_expired => true",
    );
    let first = send(&mut site, "a1", 50, ", ordering_key => 'a'");
    let second: i64 = site.value("select hooks.send('q', 'a2', ordering_key => 'a')");
    site.wait_for_state(first, "expired");
    site.run("select hooks.resume('q')");
    site.wait_for_state(first, "dead");
    never_within("a message overtook its key", ms(300), || site.arrived("q") > 0);
    site.run(&format!("select hooks.redrive({first})"));
    site.wait_for_state(second, "delivered");
    assert_eq!(site.arrivals("q", 2)[0].text(), "a1");
}

#[test]
fn expired_messages_take_nothing_from_the_rate_of_their_queue() {
    let mut site = Site::settled();
    site.queue(
        "q",
        ", active => false, rate_limit => 1, rate_interval => '1 minute'",
    );
    site.run(
        "select hooks.send('q', 'x', expires_at => now() + interval '50 ms') from generate_series(1, 20)",
    );
    let lasting = site.send("q", "lasting");
    site.wait_until("select bool_or(expires_at <= now()) from hooks.message");
    site.run("select hooks.resume('q')");
    site.wait_for_state(lasting, "delivered");
}

/// A message of the queue "q" that is on the wire until its receiver is released, and then fails; with `policy`.
#[track_caller]
fn on_the_wire(site: &mut Site, policy: &str, expires_in: i32) -> i64 {
    let script = vec![Behaviour::Hang, Behaviour::status(204)];
    site.receiver.on("/q", Behaviour::Script(script));
    site.queue("q", &format!(", accepted_statuses => array[204]{policy}"));
    let id = send(site, "x", expires_in, "");
    site.arrivals("q", 1);
    id
}

#[test]
fn message_that_gets_more_time_while_it_is_on_the_wire_is_retried_when_the_attempt_fails() {
    for buries in [false, true] {
        let mut site = Site::settled();
        let policy = format!(", bury_expired => {buries}, retry_schedule => array['1 hour']::interval[]");
        let id = on_the_wire(&mut site, &policy, 60_000);
        site.run("update hooks.message set expires_at = now() + interval '1 day'");
        site.receiver.release("/q");
        site.wait_for_attempts(id, 1);
        assert_eq!(site.state(id).as_deref(), Some("retrying"));
        assert!(site.value::<bool>("select due_at > now() + interval '30 min' from hooks.message"));
        site.run("update hooks.message set due_at = now()");
        site.wait_for_state(id, "delivered");
        assert_eq!(site.attempts(id).len(), 2);
    }
}

#[test]
fn message_that_is_put_off_while_it_is_on_the_wire_is_retried_no_earlier() {
    let mut site = Site::settled();
    let id = on_the_wire(
        &mut site,
        ", retry_schedule => array['10 ms']::interval[]",
        3_600_000,
    );
    site.run("update hooks.message set due_at = now() + interval '2 s'");
    let put_off_to = site.due_at(id);
    site.receiver.release("/q");
    site.wait_for_state(id, "delivered");
    let attempts = site.attempts(id);
    assert_eq!(attempts.len(), 2);
    assert!(attempts[1].began >= put_off_to, "{attempts:?}");
}
