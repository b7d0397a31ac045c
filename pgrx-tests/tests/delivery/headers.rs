//! Methods, headers of queues and messages, and the headers of Standard Webhooks.

use std::time::UNIX_EPOCH;

use pg_hooks_tests::Behaviour;

use crate::site::{Site, arrived_at};

const FAST_RETRIES: &str = ", min_backoff => '50 ms', max_backoff => '100 ms'";

#[test]
fn text_plain_may_be_set_by_the_queue_or_by_the_message() {
    let mut site = Site::new();
    site.queue("plain", r#", headers => '{"Content-Type": "text/plain"}'"#);
    site.queue("default", "");
    site.send("plain", "{}");
    site.run(r#"select hooks.send('default', '{}', headers => '{"content-type": "text/plain"}')"#);
    for queue in ["plain", "default"] {
        let arrived = site.arrival(queue);
        assert_eq!(
            (arrived.header("content-type"), arrived.text()),
            (Some("text/plain"), "{}"),
            "{queue}"
        );
        let types = arrived
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        assert_eq!(types.count(), 1, "{queue}");
    }
}

#[test]
fn headers_of_the_message_win_over_those_of_the_queue() {
    let mut site = Site::new();
    site.queue(
        "q",
        r#", headers => '{"X-Both": "queue", "x-queue": "queue", "User-Agent": "queue"}'"#,
    );
    site.run(r#"select hooks.send('q', 'b', headers => '{"x-both": "message", "X-Message": "message"}')"#);
    let arrived = site.arrival("q");
    let header = |name| arrived.header(name);
    assert_eq!(
        [
            header("x-both"),
            header("x-queue"),
            header("x-message"),
            header("user-agent")
        ],
        [Some("message"), Some("queue"), Some("message"), Some("queue")]
    );
    let both = arrived
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-both"));
    assert_eq!(both.count(), 1);
}

#[test]
fn every_attempt_carries_the_same_id_and_bytes_and_its_own_number_and_time() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::failing(3, 500));
    site.queue("q", FAST_RETRIES);
    let id = site.send("q", "the same bytes");
    let arrived = site.arrivals("q", 4);
    let webhook_id = arrived[0].webhook_id().unwrap().to_owned();
    assert!(
        !webhook_id.contains('.') && webhook_id.starts_with("msg_"),
        "{webhook_id}"
    );
    for (number, request) in (1..).zip(&arrived) {
        assert_eq!(request.webhook_id(), Some(webhook_id.as_str()));
        assert_eq!(
            (request.message_id(), request.attempt()),
            (Some(id), Some(number))
        );
        assert_eq!(request.text(), "the same bytes");
        let timestamp: u64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
        let seconds = arrived_at(request).duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(
            (seconds.saturating_sub(30)..=seconds).contains(&timestamp),
            "{timestamp}, {seconds}"
        );
    }
    let other = site.send("q", "another");
    let arrived = site.arrivals("q", 5);
    assert_eq!(arrived[4].message_id(), Some(other));
    assert_ne!(arrived[4].webhook_id(), Some(webhook_id.as_str()));
}

#[test]
fn every_method_is_sent_with_and_without_a_body() {
    let mut site = Site::new();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        site.queue(method, &format!(", method => '{method}'"));
        let with = site.send(method, "body");
        let without: i64 = site.value(&format!("select hooks.send('{method}', null::text)"));
        let mut arrived = site.arrivals(method, 2);
        arrived.sort_by_key(|request| request.message_id());
        assert!(arrived.iter().all(|request| request.method == method), "{method}");
        assert_eq!((arrived[0].message_id(), arrived[0].text()), (Some(with), "body"));
        assert_eq!(
            (arrived[1].message_id(), arrived[1].body_length),
            (Some(without), 0)
        );
        let length = arrived[1].header("content-length");
        assert_eq!(
            length,
            (!matches!(method, "GET" | "DELETE")).then_some("0"),
            "{method}"
        );
        site.wait_for_state(with, "delivered");
        site.wait_for_state(without, "delivered");
    }
    assert_eq!(site.receiver.malformed(), 0);
}

#[test]
fn url_arrives_with_path_and_query_as_given() {
    let mut site = Site::new();
    let url = site.receiver.url("/a%20b/c?d=e%26f&g=%C3%BC&h");
    site.queue_to(&url, "q", "");
    site.send("q", "");
    let arrived = site.receiver.wait_for("/a%20b/c", 1, crate::site::SOON);
    assert_eq!(arrived[0].target, "/a%20b/c?d=e%26f&g=%C3%BC&h");
    let address = site.receiver.address().to_string();
    assert_eq!(arrived[0].header("host"), Some(address.as_str()));
}
