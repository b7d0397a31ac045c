//! Tokens that are asked for at a token endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::auth::{OK, values};
use super::receiver::{Peer, Receiver};
use super::{attempt_with, finished, job, pool, queue};
use crate::deliver::Pool;
use crate::domain::auth::{Auth, ClientAuthentication, ClientCredentials, HeaderAuth};
use crate::domain::endpoint::Endpoint;
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;

const DELIVERED: Outcome = Outcome::Accepted { status: 200 };
const UNAUTHORIZED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A token endpoint that grants t1, t2 and so on, each for an hour.
fn endpoint() -> Receiver {
    let granted = AtomicUsize::new(0);
    Receiver::new(move |peer| {
        while peer.request().is_some() {
            let number = granted.fetch_add(1, Ordering::SeqCst) + 1;
            let grant =
                format!(r#"{{"access_token": "t{number}", "token_type": "Bearer", "expires_in": 3600}}"#);
            peer.send(&answer("200 OK", &grant));
        }
    })
}

/// A receiver that accepts some tokens only.
fn accepting(accepted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Receiver {
    Receiver::new(move |peer| {
        while let Some(request) = peer.request() {
            let token = values(&request, "authorization").concat();
            peer.send(if accepted(token.trim_start_matches("Bearer ")) {
                OK
            } else {
                UNAUTHORIZED
            });
        }
    })
}

fn credentials(token_url: &str, secret: &str) -> ClientCredentials {
    let url = Endpoint::parse(token_url).expect("a URL");
    let made = ClientCredentials::new(
        url,
        "client",
        secret,
        Some("send"),
        None,
        ClientAuthentication::Basic,
    );
    made.expect("credentials")
}

fn with_secret(receiver: &Receiver, token_url: &str, secret: &str) -> Queue {
    let mut queue = queue(&receiver.url());
    queue.auth = Ok(Auth {
        header: HeaderAuth::Token(Arc::new(credentials(token_url, secret))),
        certificate: None,
    });
    queue
}

fn oauth(receiver: &Receiver, token_url: &str) -> Queue {
    with_secret(receiver, token_url, "s3cr3t")
}

fn send(pool: &Pool, queue: Queue) -> Outcome {
    attempt_with(pool, queue, Body::Text(b"{}".to_vec())).outcome
}

fn tokens(receiver: &Receiver) -> Vec<String> {
    let requests = receiver.requests();
    requests
        .iter()
        .map(|request| values(request, "authorization").concat())
        .collect()
}

#[test]
fn one_token_serves_many_attempts_at_once() {
    let (endpoint, receiver) = (endpoint(), Receiver::answering(OK));
    let pool = pool();
    let queue = Arc::new(oauth(&receiver, &endpoint.url()));
    for id in 0..50 {
        pool.submit(job(&queue, id));
    }
    for attempt in finished(&pool, 50) {
        assert_eq!(attempt.outcome, DELIVERED);
    }
    assert_eq!(tokens(&receiver), vec!["Bearer t1"; 50]);
    let asked = endpoint.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(values(&asked[0], "authorization"), ["Basic Y2xpZW50OnMzY3IzdA=="]);
    assert!(asked[0].ends_with(b"\r\n\r\ngrant_type=client_credentials&scope=send"));
}

#[test]
fn changed_secret_asks_for_another_token() {
    let (endpoint, receiver) = (endpoint(), Receiver::answering(OK));
    let pool = pool();
    for secret in ["old", "old", "new", "new"] {
        let queue = with_secret(&receiver, &endpoint.url(), secret);
        assert_eq!(send(&pool, queue), DELIVERED);
    }
    assert_eq!(
        tokens(&receiver),
        ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]
    );
}

#[test]
fn rejected_token_is_replaced_within_the_attempt() {
    let (endpoint, receiver) = (endpoint(), accepting(|token| token != "t1"));
    let pool = pool();
    assert_eq!(send(&pool, oauth(&receiver, &endpoint.url())), DELIVERED);
    assert_eq!(send(&pool, oauth(&receiver, &endpoint.url())), DELIVERED);
    assert_eq!(tokens(&receiver), ["Bearer t1", "Bearer t2", "Bearer t2"]);
}

#[test]
fn receiver_that_accepts_no_token_costs_the_endpoint_one_request_more() {
    let (endpoint, receiver) = (endpoint(), accepting(|_| false));
    let pool = pool();
    for _ in 0..5 {
        let outcome = send(&pool, oauth(&receiver, &endpoint.url()));
        assert_eq!(outcome.status(), Some(401));
    }
    assert_eq!(endpoint.requests().len(), 2);
    assert_eq!(receiver.requests().len(), 6);
}

#[test]
fn answer_of_401_that_the_queue_accepts_is_a_delivery() {
    let (endpoint, receiver) = (endpoint(), accepting(|_| false));
    let mut queue = oauth(&receiver, &endpoint.url());
    queue.accepted = crate::domain::queue::AcceptedStatuses::Listed(vec![401]);
    assert_eq!(send(&pool(), queue), Outcome::Accepted { status: 401 });
    assert_eq!(receiver.requests().len(), 1);
}

/// The outcome of a queue whose token endpoint does this; nothing may reach the receiver.
#[track_caller]
fn refused(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> String {
    let (endpoint, receiver) = (Receiver::new(serve), Receiver::answering(OK));
    let outcome = send(&pool(), oauth(&receiver, &endpoint.url()));
    assert_eq!(outcome.error_class(), Some("auth"), "{outcome:?}");
    assert!(receiver.requests().is_empty(), "sent without a token");
    let said = outcome.error_text().unwrap_or_default();
    assert!(
        !said.contains("s3cr3t") && said.starts_with("could not get a token: "),
        "{said}"
    );
    said
}

#[test]
fn endpoint_that_gives_no_token_is_said_to_without_the_secret() {
    let answering = |status: &'static str, body: &'static str| {
        refused(move |peer| {
            peer.request();
            peer.send(&answer(status, body));
        })
    };
    let said = answering("401 Unauthorized", r#"{"error": "invalid_client"}"#);
    assert!(
        said.ends_with("token endpoint answered 401: invalid_client"),
        "{said}"
    );
    let said = answering(
        "400 Bad Request",
        r#"{"error": "x", "error_description": "bad s3cr3t"}"#,
    );
    assert!(said.ends_with("token endpoint answered 400"), "{said}");
    let said = answering("200 OK", "{}");
    assert!(said.ends_with("has no access_token"), "{said}");
    let said = refused(|_| {});
    assert!(said.contains("token endpoint: "), "{said}");
    let said = refused(|peer| {
        peer.request();
        let grant = format!(r#"{{"access_token": "{}"}}"#, "x".repeat(1_000_000));
        peer.send(&answer("200 OK", &grant));
    });
    assert!(said.contains("longer than 65536 bytes"), "{said}");
}

#[test]
fn endpoint_is_found_by_the_same_address_rules_and_never_redirected() {
    let receiver = Receiver::answering(OK);
    let outcome = send(&pool(), oauth(&receiver, "https://10.1.2.3/token"));
    assert_eq!(outcome.error_class(), Some("auth"));
    let said = outcome.error_text().unwrap_or_default();
    assert!(said.contains("10.1.2.3"), "{said}");

    let elsewhere = endpoint();
    let location = elsewhere.url();
    let said = refused(move |peer| {
        peer.request();
        peer.send(
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").as_bytes(),
        );
    });
    assert!(said.ends_with("token endpoint answered 302"), "{said}");
    assert!(elsewhere.requests().is_empty());
    assert!(receiver.requests().is_empty());
}

#[test]
fn endpoint_that_fails_is_asked_once_by_many_attempts() {
    let endpoint =
        Receiver::answering(&b"HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"[..]);
    let receiver = Receiver::answering(OK);
    let pool = pool();
    let queue = Arc::new(oauth(&receiver, &endpoint.url()));
    for id in 0..200 {
        pool.submit(job(&queue, id));
    }
    for attempt in finished(&pool, 200) {
        assert_eq!(attempt.outcome.error_class(), Some("auth"));
    }
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn hanging_endpoint_costs_its_own_queue_the_timeout_and_others_nothing() {
    let (endpoint, receiver) = (Receiver::new(Peer::hang), Receiver::answering(OK));
    let pool = pool();
    let mut hanging = oauth(&receiver, &endpoint.url());
    hanging.timeout = Duration::from_secs(8);
    let timeout = hanging.timeout;
    let hanging = Arc::new(hanging);
    let began = Instant::now();
    for id in 0..20 {
        pool.submit(job(&hanging, id));
    }
    let healthy = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
    assert_eq!(healthy.outcome, DELIVERED);
    assert!(began.elapsed() < timeout, "waited for another queue");
    for attempt in finished(&pool, 20) {
        assert_eq!(attempt.outcome.error_class(), Some("auth"), "{attempt:?}");
        assert!(attempt.duration < 2 * timeout, "{attempt:?}");
    }
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn token_outlives_a_change_of_settings() {
    let (endpoint, receiver) = (endpoint(), Receiver::answering(OK));
    let pool = pool();
    assert_eq!(send(&pool, oauth(&receiver, &endpoint.url())), DELIVERED);
    pool.reconfigure(super::settings());
    assert_eq!(send(&pool, oauth(&receiver, &endpoint.url())), DELIVERED);
    assert_eq!(endpoint.requests().len(), 1);
}
