//! What an attempt tells of its parts.

use std::time::Duration;

use super::receiver::Receiver;
use super::{attempt, attempt_with, pool, queue};
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{KeepAttempts, Method, Queue};

fn parsed(json: Option<&str>) -> serde_json::Value {
    serde_json::from_str(json.expect("headers")).expect("JSON")
}

#[test]
fn connection_is_traced_and_so_is_its_use_by_the_next() {
    let receiver = Receiver::new(|peer| {
        while peer.request().is_some() {
            std::thread::sleep(Duration::from_millis(20));
            peer.send(b"HTTP/1.1 200 OK\r\nX-Seen: 1\r\nSet-Cookie: id=1\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let pool = pool();
    let made = attempt_with(&pool, queue(&receiver.url()), Body::Text(b"{}".to_vec()));
    assert_eq!(made.outcome, Outcome::Accepted { status: 200 });
    assert_eq!(
        (made.method, made.url.as_str()),
        (Method::Post, receiver.url().as_str())
    );
    let trace = &made.trace;
    assert_eq!(
        (trace.reused, trace.resolve, trace.tls),
        (Some(false), None, None),
        "an address, without TLS"
    );
    assert!(trace.connect.is_some_and(|connect| connect < made.duration));
    let first_byte = trace.first_byte.expect("an answer");
    assert!(
        first_byte >= Duration::from_millis(20) && first_byte < made.duration,
        "{first_byte:?}"
    );
    assert!(
        trace
            .address
            .is_some_and(|address| receiver.url().contains(&address.to_string()))
    );
    let request = parsed(trace.request_headers.as_deref());
    assert_eq!(request["content-length"], "2");
    assert_eq!(request["content-type"], "application/json");
    assert_eq!(request["webhook-id"], "msg_1");
    assert!(receiver.url().contains(request["host"].as_str().expect("a host")));
    let answer = parsed(trace.response_headers.as_deref());
    assert_eq!(
        (&answer["x-seen"], &answer["set-cookie"]),
        (&"1".into(), &"***".into())
    );

    let again = attempt_with(&pool, queue(&receiver.url()), Body::Empty).trace;
    assert_eq!((again.reused, again.connect), (Some(true), None));
    assert_eq!(again.address, trace.address);
}

#[test]
fn attempt_that_reaches_nobody_tells_whom_it_tried() {
    let receiver = Receiver::new(|_| {});
    let url = receiver.url();
    drop(receiver);
    let failed = attempt(queue(&url));
    assert!(matches!(
        failed.outcome,
        Outcome::Unreachable { .. } | Outcome::ConnectionLost { .. }
    ));
    assert!(failed.trace.address.is_some());
    assert!(failed.trace.connect.is_some());
    assert_eq!(failed.trace.response_headers, None);
}

#[test]
fn headers_that_nobody_keeps_are_not_written_out() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let made = attempt(Queue {
        keep_attempts: KeepAttempts::None,
        ..queue(&receiver.url())
    });
    assert_eq!(made.outcome, Outcome::Accepted { status: 200 });
    assert!(made.trace.request_headers.is_none() && made.trace.response_headers.is_none());
}
