//! Publishing: within the transaction of the caller, and what it refuses.

use pg_hooks_tests::site::{Site, row};

#[test]
fn published_event_reaches_each_subscriber_with_its_payload() {
    let mut site = Site::new();
    site.queue("one", "");
    site.queue("two", "");
    site.run("select hooks.subscribe('order.*', 'one'); select hooks.subscribe('**', 'two')");
    let published = row(
        &mut site.client,
        r#"select event_id, messages from hooks.publish('order.created', '{"b": 1, "a": "é"}')"#,
    );
    assert_eq!((published.get::<_, i64>(0), published.get::<_, i32>(1)), (1, 2));
    for queue in ["one", "two"] {
        let arrived = site.arrival(queue);
        assert_eq!(arrived.text(), r#"{"a": "é", "b": 1}"#);
        assert_eq!(arrived.header("content-type"), Some("application/json"));
    }
}

#[test]
fn payload_is_stored_once() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    for _ in 0..3 {
        site.run("select hooks.subscribe('a', 'q')");
    }
    site.run(r#"select hooks.publish('a', '{"x": 1}')"#);
    let bodies: i64 = site.value("select count(*) from hooks.message where body is null and event_id = 1");
    assert_eq!(bodies, 3);
    assert_eq!(
        site.column::<String>("select payload from hooks.event"),
        [r#"{"x": 1}"#]
    );
}

#[test]
fn no_match_is_no_error() {
    let mut site = Site::new();
    let published = row(
        &mut site.client,
        "select event_id, messages from hooks.publish('a', '{}')",
    );
    assert_eq!((published.get::<_, i64>(0), published.get::<_, i32>(1)), (1, 0));
}

#[test]
fn what_rolls_back_was_not_published() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "begin; select hooks.subscribe('a', 'q'); commit;
         begin; select hooks.publish('a', '1'); rollback;
         begin; savepoint s; select hooks.publish('a', '2'); rollback to s; commit;
         select hooks.publish('a', '3')",
    );
    assert_eq!(site.arrival("q").text(), "3");
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 1);
}

#[test]
fn inactive_subscription_gets_nothing() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('a', 'q', active => false)");
    assert_eq!(
        site.value::<i32>("select messages from hooks.publish('a', '1')"),
        0
    );
    site.run("select hooks.alter_subscription(1, active => true)");
    assert_eq!(
        site.value::<i32>("select messages from hooks.publish('a', '1')"),
        1
    );
}

#[test]
fn headers_of_queue_event_and_subscription_win_in_this_order() {
    let mut site = Site::new();
    site.queue(
        "q",
        r#", headers => '{"x-a": "queue", "x-b": "queue", "x-c": "queue"}'"#,
    );
    site.run(
        r#"select hooks.subscribe('a', 'q', headers => '{"x-c": "subscription"}');
           select hooks.publish('a', '1', headers => '{"x-b": "event", "x-c": "event"}')"#,
    );
    let arrived = site.arrival("q");
    assert_eq!(arrived.header("x-a"), Some("queue"));
    assert_eq!(arrived.header("x-b"), Some("event"));
    assert_eq!(arrived.header("x-c"), Some("subscription"));
}

#[test]
fn ordering_key_holds_within_each_queue() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.subscribe('a', 'q');
         select hooks.publish('a', to_jsonb(n), ordering_key => 'k') from generate_series(1, 50) as n",
    );
    let arrived = site.arrivals("q", 50);
    let bodies: Vec<&str> = arrived.iter().map(|request| request.text()).collect();
    let expected: Vec<String> = (1..=50).map(|n| n.to_string()).collect();
    assert_eq!(bodies, expected);
}

#[test]
fn bad_arguments_are_refused_and_nothing_is_stored() {
    let mut site = Site::new();
    for (arguments, message) in [
        ("'a', null", "payload must not be null"),
        ("'a', '1', ttl => '0'", "ttl must be more than 0"),
        ("'a', '1', ttl => '-1 s'", "ttl must be more than 0"),
        ("'a', '1', headers => '[]'", "headers are not a JSON object"),
        (
            "'a', '1', headers => '{\"host\": \"x\"}'",
            "header \"host\" is reserved",
        ),
        ("'a', '1', metadata => '1'", "metadata is not a JSON object"),
        (
            "'a', '1', metadata => '{\"k\": 1}'",
            "metadata \"k\" is not a string",
        ),
        (
            "'a', '1', idempotency_key => ''",
            "idempotency key must have 1 to 255 bytes",
        ),
        (
            "'a', to_jsonb(repeat('x', 2000000))",
            "body of 2000002 bytes exceeds hooks.max_body_size, 1048576 bytes",
        ),
    ] {
        let refused = site.refusal(&format!("select hooks.publish({arguments})"));
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("22023", message)
        );
        assert!(!refused.hint.is_empty(), "{refused:?}");
    }
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 0);
}

#[test]
fn large_payload_arrives_whole() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('a', 'q'), hooks.subscribe('a', 'q')");
    site.run("select hooks.publish('a', to_jsonb(repeat('x', 1000000)))");
    for arrived in site.arrivals("q", 2) {
        assert_eq!(arrived.body_length, 1_000_002);
    }
}
