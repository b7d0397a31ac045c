//! The copies of dead letters that go to the dead-letter queue.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::receiver::Received;

use crate::site::Site;

const ONCE: &str = ", max_attempts => 1";
const TWICE: &str = ", max_attempts => 2, min_backoff => '10 ms', max_backoff => '20 ms'";

/// What the headers of a copy say of its origin.
fn cause(copy: &Received) -> [Option<&str>; 5] {
    ["message", "queue", "attempts", "status", "error"].map(|name| copy.header(&format!("hooks-dead-{name}")))
}

/// Creates a queue whose dead letters go to `other`.
fn queue_with(site: &mut Site, name: &str, other: &str, policy: &str) -> i64 {
    site.queue(name, &format!(", dead_letter_queue => '{other}'{policy}"))
}

#[test]
fn dead_letter_queue_gets_a_copy_that_names_origin_and_cause() {
    let mut site = Site::settled();
    site.receiver.on("/orders", Behaviour::status(418));
    site.queue("dead", "");
    queue_with(&mut site, "orders", "dead", TWICE);
    let text: i64 = site.value(
        r#"select hooks.send('orders', '{"a":  1}', headers => '{"X-Kept": "yes", "Content-Type": "x/y"}')"#,
    );
    let binary: i64 = site.value(r"select hooks.send('orders', '\x00ff'::bytea)");
    let mut copies = site.arrivals("dead", 2);
    copies.sort_by_key(|copy| copy.body_length);
    for (copy, id, body) in [
        (&copies[0], binary, &b"\x00\xff"[..]),
        (&copies[1], text, br#"{"a":  1}"#),
    ] {
        assert_eq!(copy.body, body);
        let id_text = id.to_string();
        assert_eq!(
            cause(copy),
            [
                Some(id_text.as_str()),
                Some("orders"),
                Some("2"),
                Some("418"),
                Some("status")
            ]
        );
        assert_ne!(copy.message_id(), Some(id));
        assert_eq!(copy.attempt(), Some(1));
        site.wait_for_state(copy.message_id().unwrap(), "delivered");
        site.wait_for_state(id, "dead");
    }
    assert_eq!(
        [copies[1].header("x-kept"), copies[1].header("content-type")],
        [Some("yes"), Some("x/y")]
    );
    assert_eq!(copies[0].header("content-type"), Some("application/octet-stream"));
}

#[test]
fn copy_of_a_copy_names_its_own_origin_and_cause() {
    let mut site = Site::settled();
    site.receiver.on("/first", Behaviour::status(500));
    site.receiver.on("/second", Behaviour::Close);
    site.queue("last", "");
    queue_with(&mut site, "second", "last", ONCE);
    queue_with(&mut site, "first", "second", ONCE);
    site.send("first", "x");
    let copy = site.arrival("last");
    let second = site.arrivals("second", 1)[0].message_id().unwrap().to_string();
    assert_eq!(
        cause(&copy),
        [
            Some(second.as_str()),
            Some("second"),
            Some("1"),
            None,
            Some("connection_lost")
        ]
    );
}

#[test]
fn copy_is_delivered_however_many_headers_the_message_has() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("dead", "");
    queue_with(&mut site, "q", "dead", ONCE);
    let headers = "select jsonb_object_agg('x-' || n, n::text) from generate_series(1, 64) as n";
    site.run(&format!("select hooks.send('q', 'x', headers => ({headers}))"));
    let copy = site.arrival("dead");
    assert_eq!(
        [copy.header("x-64"), copy.header("hooks-dead-queue")],
        [Some("64"), Some("q")]
    );
}

#[test]
fn copy_is_delivered_when_the_message_has_such_headers_itself() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("dead", "");
    queue_with(&mut site, "q", "dead", ONCE);
    site.run(r#"select hooks.send('q', 'x', headers => '{"Hooks-Dead-Queue": "another"}')"#);
    assert_eq!(site.arrival("dead").header("hooks-dead-queue"), Some("q"));
}

#[test]
fn copy_is_delivered_whatever_the_name_of_the_queue() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("dead", "");
    let url = site.receiver.url("/q");
    for name in ["größe 世界", " spaced ", "line\nbreak", &"x".repeat(255)] {
        site.receiver.clear();
        site.queue_to(&url, name, &format!(", dead_letter_queue => 'dead'{ONCE}"));
        let id = site.send(name, "x");
        let copy = site.arrival("dead");
        assert_eq!(
            copy.header("hooks-dead-message"),
            Some(id.to_string().as_str()),
            "{name:?}"
        );
        assert_eq!(
            copy.header("hooks-dead-queue").map(str::len),
            Some(name.trim().chars().count()),
            "{name:?}"
        );
    }
}
