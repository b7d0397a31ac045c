//! What requests authenticate with, when it does not change.

use std::sync::Arc;

use super::receiver::Receiver;
use super::{attempt, attempt_with, finished, job, pool, queue};
use crate::domain::auth::{Auth, AuthHeader, HeaderAuth};
use crate::domain::headers::Headers;
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;

pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn with_header(url: &str, header: AuthHeader) -> Queue {
    let mut queue = queue(url);
    queue.auth = Ok(Auth {
        header: HeaderAuth::Fixed(header),
        certificate: None,
    });
    queue
}

/// Values of the headers of that name in a request.
pub fn values(request: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(request);
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    let lines = header.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[test]
fn credentials_of_each_kind_reach_the_receiver() {
    let receiver = Receiver::answering(OK);
    for (made, name, value) in [
        (AuthHeader::bearer("t0k3n"), "authorization", "Bearer t0k3n"),
        (AuthHeader::basic("u", "p"), "authorization", "Basic dTpw"),
        (AuthHeader::api_key("X-Api-Key", "k3y"), "x-api-key", "k3y"),
    ] {
        let queue = with_header(&receiver.url(), made.expect("credentials"));
        assert_eq!(attempt(queue).outcome, Outcome::Accepted { status: 200 });
        let requests = receiver.requests();
        assert_eq!(values(requests.last().expect("a request"), name), [value]);
    }
}

/// Each on a thread that has not written anything longer.
#[test]
fn credentials_of_every_length_reach_the_receiver() {
    let receiver = Receiver::answering(OK);
    for length in (3020..3080).step_by(3).chain([8_000]) {
        let token = "x".repeat(length);
        let queue = with_header(&receiver.url(), AuthHeader::bearer(&token).expect("a token"));
        assert_eq!(
            attempt(queue).outcome,
            Outcome::Accepted { status: 200 },
            "{length}"
        );
        let requests = receiver.requests();
        let request = requests.last().expect("a request");
        assert_eq!(values(request, "authorization"), [format!("Bearer {token}")]);
    }
}

#[test]
fn credentials_win_over_headers_of_queue_and_message() {
    let receiver = Receiver::answering(OK);
    let header = AuthHeader::bearer("right").expect("a token");
    let mut queue = with_header(&receiver.url(), header);
    let wrong = |value: &str| Headers::made([("authorization".to_owned(), value.to_owned())]);
    queue.headers = wrong("of the queue");
    let pool = pool();
    let mut job = job(&Arc::new(queue), 1);
    job.message.headers = wrong("of the message");
    pool.submit(job);
    finished(&pool, 1);
    assert_eq!(values(&receiver.requests()[0], "authorization"), ["Bearer right"]);
}

#[test]
fn credentials_go_along_when_a_kept_connection_was_gone() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        peer.send(OK);
        peer.miss();
    });
    let pool = pool();
    let header = AuthHeader::bearer("t0k3n").expect("a token");
    for _ in 0..2 {
        let queue = with_header(&receiver.url(), header.clone());
        let attempt = attempt_with(&pool, queue, Body::Text(b"{}".to_vec()));
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    }
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(values(&request, "authorization"), ["Bearer t0k3n"]);
    }
}

#[test]
fn credentials_do_not_follow_a_redirect() {
    let elsewhere = Receiver::answering(OK);
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url()
    );
    let receiver = Receiver::answering(redirect);
    let header = AuthHeader::bearer("t0k3n").expect("a token");
    let outcome = attempt(with_header(&receiver.url(), header)).outcome;
    assert_eq!(outcome.status(), Some(307));
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn nothing_is_sent_without_the_credentials() {
    let receiver = Receiver::answering(OK);
    let mut queue = queue(&receiver.url());
    queue.auth = Err("the token of the queue cannot be decrypted".to_owned());
    let outcome = attempt(queue).outcome;
    assert_eq!(outcome.error_class(), Some("auth"));
    assert_eq!(
        outcome.error_text().as_deref(),
        Some("the token of the queue cannot be decrypted")
    );
    assert!(receiver.requests().is_empty());
}

#[test]
fn credential_that_a_receiver_repeats_is_not_kept() {
    let receiver = Receiver::new(|peer| {
        let request = peer.request().expect("a request");
        let said = values(&request, "x-of").remove(0);
        let body = format!("you said {said}; {}", "x".repeat(10));
        let length = body.len();
        let header =
            format!("HTTP/1.1 200 OK\r\nX-Said: a {said}\r\nX-Said: b\r\nContent-Length: {length}\r\n\r\n");
        peer.send((header + &body).as_bytes());
    });
    let header = AuthHeader::api_key("X-Of", "k3y/of+all").expect("a key");
    let made = attempt(with_header(&receiver.url(), header));
    assert_eq!(
        String::from_utf8_lossy(&made.response.body),
        "you said ***; xxxxxxxxxx"
    );
    let headers = made.trace.response_headers.expect("headers");
    assert!(headers.contains("\"x-said\":\"a ***, b\""), "{headers}");
    assert!(!made.trace.request_headers.expect("headers").contains("k3y"));
}
