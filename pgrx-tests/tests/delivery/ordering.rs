//! Ordering keys: strictly one after the other within a key, and nothing held back besides.

mod changes;
mod dead_letters;
mod load;

use std::time::SystemTime;

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::wait::never_within;

use crate::site::{Site, arrived_at, ms};

/// A retry only when the test says so, with [`retry_now`].
const NO_RETRY_SOON: &str = ", retry_schedule => array['1 hour']::interval[]";

/// For what nothing but a lost wake can delay, and well before the next rescan.
const AT_ONCE: std::time::Duration = ms(10_000);

/// Sends a text with an ordering key through queue "q"; gives its id.
#[track_caller]
fn send(site: &mut Site, key: &str, body: &str) -> i64 {
    site.value_with(
        "select hooks.send('q', $1::text, ordering_key => $2)",
        &[&body, &key],
    )
}

/// Makes every message that waits due.
#[track_caller]
fn retry_now(site: &mut Site) {
    site.run("update hooks.message set due_at = now()");
}

/// Waits for so many requests at `/q`; gives their bodies in the order of arrival.
#[track_caller]
fn bodies(site: &Site, count: usize) -> Vec<String> {
    let requests = site.receiver.wait_for("/q", count, AT_ONCE);
    requests.iter().map(|request| request.text().to_owned()).collect()
}

/// Waits for so many requests at `/q` and asserts that there are no others for a while.
#[track_caller]
fn assert_held_at(site: &Site, expected: &[&str]) {
    assert_eq!(bodies(site, expected.len()), expected);
    never_within("a message was not held back", ms(300), || {
        site.arrived("q") > expected.len()
    });
}

/// Asserts that the requests of each key came in the order of ids; retries of one come in between.
#[track_caller]
fn assert_in_order<'a>(requests: &'a [Received], key: impl Fn(&'a Received) -> &'a str) {
    let mut last = std::collections::HashMap::new();
    for request in requests {
        let id = request.message_id().unwrap();
        let before = last.insert(key(request), id).unwrap_or(i64::MIN);
        assert!(
            id >= before,
            "message {id} of key {} came after {before}",
            key(request)
        );
    }
}

#[test]
fn messages_of_a_key_go_one_after_the_other_and_keys_go_side_by_side() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::slow(ms(5)));
    site.queue("q", "");
    site.run(
        "select hooks.send('q', 'key' || n % 3, ordering_key => 'key' || n % 3)
         from generate_series(1, 90) as n",
    );
    let requests = site.arrivals("q", 90);
    assert_eq!(requests.len(), 90);
    assert_in_order(&requests, Received::text);
    let peak = site.receiver.peak_in_flight("/q");
    assert!((2..=3).contains(&peak), "3 keys, {peak} on the wire at once");
}

#[test]
fn retry_holds_back_its_key_and_nothing_else() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue("q", NO_RETRY_SOON);
    let first = send(&mut site, "a", "a1");
    site.wait_for_state(first, "retrying");
    let held = ["a2", "a3"].map(|body| send(&mut site, "a", body));
    let others = [send(&mut site, "b", "b1"), site.send("q", "unkeyed")];
    others.iter().for_each(|id| site.wait_for_state(*id, "delivered"));
    never_within("a message overtook its key", ms(300), || site.arrived("q") > 3);
    assert_eq!(site.state(held[0]).as_deref(), Some("pending"));
    retry_now(&mut site);
    assert_eq!(bodies(&site, 6)[3..], ["a1", "a2", "a3"]);
}

#[test]
fn message_on_the_wire_holds_back_its_key_and_nothing_else() {
    let mut site = Site::settled();
    let hang_once = vec![Behaviour::Hang, Behaviour::status(200)];
    site.receiver.on("/q", Behaviour::Script(hang_once));
    site.queue("q", ", timeout => '5 minutes'");
    site.queue("other", "");
    send(&mut site, "a", "a1");
    site.arrival("q");
    send(&mut site, "a", "a2");
    let elsewhere: i64 = site.value("select hooks.send('other', 'x', ordering_key => 'a')");
    site.wait_for_state(elsewhere, "delivered");
    for n in 0..20 {
        let id = send(&mut site, &format!("key {n}"), "b");
        site.wait_for_state(id, "delivered");
    }
    never_within("a message overtook its key", ms(300), || site.arrived("q") > 21);
    site.receiver.release("/q");
    assert_eq!(bodies(&site, 22)[21], "a2");
}

#[test]
fn message_for_later_holds_back_its_key_until_then() {
    let mut site = Site::settled();
    site.queue("q", "");
    let at: SystemTime = site.value("select clock_timestamp() + interval '5 s'");
    site.value_with::<i64>(
        "select hooks.send('q', 'a1', at => $1, ordering_key => 'a')",
        &[&at],
    );
    send(&mut site, "a", "a2");
    send(&mut site, "b", "b1");
    assert_eq!(bodies(&site, 3), ["b1", "a1", "a2"]);
    assert!(arrived_at(&site.arrivals("q", 3)[1]) >= at);
}

#[test]
fn one_slot_serves_keys_and_unkeyed_messages_in_turn() {
    let mut site = Site::settled();
    site.queue("q", ", max_in_flight => 1, active => false");
    site.run(
        "select hooks.send('q', 'hot', ordering_key => 'hot') from generate_series(1, 200);
         select hooks.send('q', 'unkeyed') from generate_series(1, 10);
         select hooks.send('q', 'key' || n % 5, ordering_key => 'key' || n % 5) from generate_series(1, 20) as n;
         select hooks.resume('q')",
    );
    let requests = site.arrivals("q", 230);
    assert_in_order(
        &requests
            .iter()
            .filter(|r| r.text() != "unkeyed")
            .cloned()
            .collect::<Vec<_>>(),
        Received::text,
    );
    let last = requests.iter().rposition(|r| r.text() == "unkeyed").unwrap();
    assert!(last < 100, "the last unkeyed message came at place {last} of 230");
    assert_eq!(site.receiver.peak_in_flight("/q"), 1);
}
