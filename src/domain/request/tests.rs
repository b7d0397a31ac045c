use std::time::Duration;

use serde_json::{Value, json};

use super::super::auth::Auth;
use super::super::endpoint::Endpoint;
use super::super::queue::AcceptedStatuses;
use super::super::retry::RetryPolicy;
use super::super::secret::{Held, Purpose, Secret, Secrets};
use super::super::signature::{Scheme, Signing};
use super::*;

/// 2023-11-14 22:13:20.999999 UTC.
const NOW: Timestamp = Timestamp(1_700_000_000_999_999);

fn queue(headers: Value) -> Queue {
    Queue {
        id: 1,
        endpoint: Endpoint::parse("https://example.com:8443/in?a=b").unwrap(),
        method: Method::Post,
        headers: Headers::from_json(&headers).unwrap(),
        timeout: Duration::from_secs(15),
        accepted: AcceptedStatuses::Successful,
        retry: RetryPolicy::default(),
        max_in_flight: 1,
        rate_limit: None,
        breaker: None,
        dead_letters_block: false,
        bury_expired: false,
        secrets: Default::default(),
        keep_bodies: false,
        keep_attempts: Default::default(),
        signing: Default::default(),
        active: true,
        auth: Ok(Auth::default()),
    }
}

fn message(headers: Value, body: Body) -> Message {
    Message {
        id: 42,
        webhook_id: "msg_2f".to_owned(),
        attempt: 3,
        due_at: Timestamp::MIN,
        expires_at: None,
        waited_since: None,
        stored_at: 0,
        headers: Headers::from_json(&headers).unwrap(),
        body,
    }
}

/// All headers of the request, sorted by name.
fn sent(queue: &Queue, message: &Message) -> Vec<(String, String)> {
    let request = build(queue, message, NOW).unwrap();
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    headers.sort();
    headers
}

fn sent_content_type(queue_headers: Value, message_headers: Value, body: Body) -> Option<String> {
    let headers = sent(&queue(queue_headers), &message(message_headers, body));
    headers
        .into_iter()
        .find(|(name, _)| name == "content-type")
        .map(|(_, value)| value)
}

fn text(text: &str) -> Body {
    Body::Text(text.as_bytes().to_vec())
}

#[test]
fn a_request_goes_to_the_endpoint_with_our_headers() {
    let request = build(&queue(json!({})), &message(json!({}), text("{}")), NOW).unwrap();
    assert_eq!(request.method(), http::Method::POST);
    assert_eq!(request.uri(), "https://example.com:8443/in?a=b");

    let headers = sent(&queue(json!({})), &message(json!({}), text("{}")));
    let expected = [
        ("content-type", "application/json"),
        ("user-agent", concat!("pg_hooks/", env!("CARGO_PKG_VERSION"))),
        ("webhook-attempt", "3"),
        ("webhook-id", "msg_2f"),
        ("webhook-timestamp", "1700000000"),
    ];
    assert_eq!(
        headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn every_method_goes_out_under_its_name() {
    for (name, method) in Method::ALL {
        let queue = Queue {
            method,
            ..queue(json!({}))
        };
        let request = build(&queue, &message(json!({}), Body::Empty), NOW).unwrap();
        assert_eq!(request.method().as_str(), name);
    }
}

#[test]
fn message_headers_win_over_queue_headers_and_both_over_ours() {
    let queue = queue(json!({"X-A": "queue", "X-B": "queue", "User-Agent": "queue"}));
    let headers = sent(&queue, &message(json!({"x-b": "message"}), Body::Empty));
    let expected = [
        ("user-agent", "queue"),
        ("webhook-attempt", "3"),
        ("webhook-id", "msg_2f"),
        ("webhook-timestamp", "1700000000"),
        ("x-a", "queue"),
        ("x-b", "message"),
    ];
    assert_eq!(
        headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn the_content_type_follows_from_the_body() {
    let json_type = Some("application/json");
    let text_type = Some("text/plain; charset=utf-8");
    for (body, content_type) in [
        (text(r#"{"a": [1, "ü", null]}"#), json_type),
        (text(" 12.5e3\n"), json_type),
        (text(r#""text""#), json_type),
        (
            text(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
            json_type,
        ),
        (text("hello"), text_type),
        (text(r#"{"a": 1} {"b": 2}"#), text_type),
        (text(r#"{"a": 1"#), text_type),
        (text("NaN"), text_type),
        (text(""), text_type),
        (Body::Binary(b"{}".to_vec()), Some("application/octet-stream")),
        (Body::Binary(Vec::new()), Some("application/octet-stream")),
        (Body::Empty, None),
    ] {
        assert_eq!(
            sent_content_type(json!({}), json!({}), body.clone()).as_deref(),
            content_type,
            "{body:?}"
        );
    }
}

#[test]
fn a_content_type_that_is_set_stays() {
    let set = |content_type: &str| json!({"Content-Type": content_type});
    for (queue, message, content_type) in [
        (set("a/queue"), json!({}), "a/queue"),
        (json!({}), set("a/message"), "a/message"),
        (set("a/queue"), set("a/message"), "a/message"),
    ] {
        for body in [text("{}"), Body::Binary(vec![0]), Body::Empty] {
            assert_eq!(
                sent_content_type(queue.clone(), message.clone(), body).as_deref(),
                Some(content_type)
            );
        }
    }
}

#[test]
fn a_webhook_id_that_is_no_header_value_makes_no_request() {
    for webhook_id in ["a\r\nX-B: c", "a\0", "\x7f"] {
        let message = Message {
            webhook_id: webhook_id.to_owned(),
            ..message(json!({}), Body::Empty)
        };
        let outcome = Outcome::from(build(&queue(json!({})), &message, NOW).unwrap_err());
        assert_eq!(
            outcome,
            Outcome::Unbuildable {
                detail: "webhook id cannot be sent in a header".to_owned()
            }
        );
    }
}

#[test]
fn user_headers_are_not_in_debug_output() {
    let queue = queue(json!({"Authorization": "Bearer hunter2"}));
    let request = build(&queue, &message(json!({"X-Key": "hunter2"}), Body::Empty), NOW).unwrap();
    assert!(!format!("{request:?}").contains("hunter2"));
}

#[test]
fn request_is_signed_over_the_bytes_that_go_out() {
    let mut queue = queue(json!({}));
    let secret = Secret::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec());
    let held = Held {
        purpose: Purpose::Signing,
        expires_at: None,
        value: Ok(secret),
    };
    queue.signing = Signing::new(&[Scheme::V1, Scheme::Github], &Secrets::new(vec![held]));
    let forged = ("webhook-signature".to_owned(), "v1,forged".to_owned());
    let message = Message {
        headers: Headers::made([forged]),
        ..message(json!({}), Body::Binary(b"\0\xff".to_vec()))
    };
    let expected = queue.signing.headers("msg_2f", NOW, b"\0\xff").unwrap();
    assert_eq!(expected.len(), 2);
    let sent = sent(&queue, &message);
    for (name, value) in expected {
        let of_name: Vec<_> = sent.iter().filter(|(known, _)| *known == name.as_str()).collect();
        assert_eq!(of_name.len(), 1, "{name}");
        assert_eq!(of_name[0].1, value.to_str().unwrap());
    }
}

#[test]
fn what_cannot_be_signed_is_not_built() {
    let mut queue = queue(json!({}));
    queue.signing = Signing::new(&[Scheme::V1], &Secrets::default());
    let unsigned = build(&queue, &message(json!({}), Body::Empty), NOW).unwrap_err();
    assert!(unsigned.to_string().starts_with("secret for signing is missing"));
    let problem = queue.lacks_secret_at(NOW).unwrap();
    assert_eq!(problem, unsigned.to_string());
    assert!(matches!(Outcome::from(unsigned), Outcome::NoSecret { detail } if detail == problem));
}

#[test]
fn queue_lacks_what_it_authenticates_with_when_it_cannot_be_had() {
    let mut queue = queue(json!({}));
    assert_eq!(queue.lacks_secret_at(NOW), None);
    queue.auth = Err("secret for bearer is missing".to_owned());
    assert_eq!(
        queue.lacks_secret_at(NOW).as_deref(),
        Some("secret for bearer is missing")
    );
}

/// Rows are checked when they are stored, but not by a restore.
#[test]
fn rows_that_no_request_can_carry_say_which_part_and_not_its_value() {
    let made = |name: &str, value: &str| Message {
        headers: Headers::made([(name.to_owned(), value.to_owned())]),
        ..message(json!({}), Body::Empty)
    };
    let of_id = Message {
        webhook_id: "msg\n2".to_owned(),
        ..message(json!({}), Body::Empty)
    };
    for (message, said) in [
        (made("a b", "canary"), "header \"a b\" cannot be sent"),
        (made("x-a", "canary\n"), "header \"x-a\" cannot be sent"),
        (of_id, "webhook id cannot be sent in a header"),
    ] {
        let unbuildable = build(&queue(json!({})), &message, NOW).unwrap_err();
        assert_eq!(unbuildable.to_string(), said);
        let detail = said.to_owned();
        assert_eq!(Outcome::from(unbuildable), Outcome::Unbuildable { detail });
    }
}
