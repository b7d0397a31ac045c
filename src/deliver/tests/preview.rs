//! What an attempt would send.

use std::sync::Arc;

use super::auth::OK;
use super::receiver::Receiver;
use super::{finished, job_with, pool, queue};
use crate::deliver::{Job, Written, preview};
use crate::domain::auth::{Auth, AuthHeader, ClientAuthentication, ClientCredentials, HeaderAuth};
use crate::domain::endpoint::Endpoint;
use crate::domain::headers::Headers;
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{Method, Queue};
use crate::domain::secret::Secrets;
use crate::domain::signature::{Scheme, Signing};
use crate::domain::time::Timestamp;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn of(queue: Queue, body: Body) -> Job {
    job_with(&Arc::new(queue), 1, body)
}

fn value<'a>(written: &'a Written, name: &str) -> Option<&'a str> {
    let mut headers = written.headers.iter();
    let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// As it came in, but for the time that it tells.
fn received(request: &[u8]) -> Written {
    let end = request
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .expect("a header");
    let head = String::from_utf8(request[..end].to_vec()).expect("text");
    let (start, rest) = head.split_once("\r\n").expect("a first line");
    let start: Vec<&str> = start.split(' ').collect();
    let headers = rest
        .split("\r\n")
        .map(|line| line.split_once(": ").expect("a header"));
    Written {
        method: start[0].to_owned(),
        target: start[1].to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: request[end + 4..].to_vec(),
    }
}

fn without_time(mut written: Written) -> Written {
    written.headers.retain(|(name, _)| name != "webhook-timestamp");
    written
}

#[test]
fn preview_is_the_request_that_an_attempt_makes_byte_for_byte() {
    let receiver = Receiver::answering(OK);
    let headers = || Headers::made([("x-tenant".to_owned(), "seven".to_owned())]);
    for (method, path, body) in [
        (Method::Post, "hook?a=b", Body::Text(b"{\"n\": 1}".to_vec())),
        (Method::Put, "", Body::Binary(b"\0\xff\r\n\r\n".to_vec())),
        (Method::Patch, "hook", Body::Text(b"plain".to_vec())),
        (Method::Delete, "hook", Body::Empty),
        (Method::Get, "hook", Body::Text(b"of a GET".to_vec())),
        (Method::Post, "hook", Body::Text(vec![b'x'; 100_000])),
    ] {
        let made = |body| {
            let url = format!("http://127.0.0.1:{}/{path}", receiver.port());
            let queue = Queue {
                method,
                headers: headers(),
                ..queue(&url)
            };
            of(queue, body)
        };
        let shown = preview(&made(body.clone()), NOW).expect("a request");
        assert_eq!(value(&shown, "webhook-timestamp"), Some("1700000000"));
        assert_eq!(value(&shown, "x-tenant"), Some("seven"));
        let before = receiver.requests().len();
        let pool = pool();
        pool.submit(made(body));
        finished(&pool, 1);
        let requests = receiver.requests();
        assert_eq!(requests.len(), before + 1);
        let received = received(&requests[before]);
        assert_eq!(without_time(shown), without_time(received), "{method:?}");
    }
}

#[test]
fn nobody_is_asked_for_anything_and_no_credential_is_shown() {
    let receiver = Receiver::answering(OK);
    let credentials = ClientCredentials::new(
        Endpoint::parse(&receiver.url()).expect("a URL"),
        "client",
        "s3cr3t",
        None,
        None,
        ClientAuthentication::Basic,
    );
    let token = HeaderAuth::Token(Arc::new(credentials.expect("credentials")));
    let bearer = HeaderAuth::Fixed(AuthHeader::bearer("s3cr3t").expect("a token"));
    let key = HeaderAuth::Fixed(AuthHeader::api_key("X-Key", "s3cr3t").expect("a key"));
    for (header, name) in [
        (token, "authorization"),
        (bearer, "authorization"),
        (key, "x-key"),
    ] {
        let mut queue = queue(&receiver.url());
        queue.auth = Ok(Auth {
            header,
            certificate: None,
        });
        let shown = preview(&of(queue, Body::Empty), NOW).expect("a request");
        assert_eq!(value(&shown, name), Some("***"));
        assert!(!format!("{shown:?}").contains("s3cr3t"));
    }
    assert!(receiver.requests().is_empty());
}

#[test]
fn receiver_of_https_need_not_be_there() {
    let mut queue = queue("https://nobody.invalid:8443/in?x=1");
    queue.method = Method::Put;
    let shown = preview(&of(queue, Body::Text(b"{}".to_vec())), NOW).expect("a request");
    assert_eq!((shown.method.as_str(), shown.target.as_str()), ("PUT", "/in?x=1"));
    assert_eq!(value(&shown, "host"), Some("nobody.invalid:8443"));
    assert_eq!(shown.body, b"{}");
}

#[test]
fn message_that_makes_no_request_says_why_as_its_attempt_would() {
    let refused = |change: &dyn Fn(&mut Queue)| {
        let mut queue = queue("https://example.com/");
        change(&mut queue);
        preview(&of(queue, Body::Empty), NOW).expect_err("no request")
    };
    let detail = "header \"a b\" cannot be sent".to_owned();
    let outcome = refused(&|queue| queue.headers = Headers::made([("a b".to_owned(), String::new())]));
    assert_eq!(outcome, Outcome::Unbuildable { detail });
    let outcome = refused(&|queue| queue.signing = Signing::new(&[Scheme::V1], &Secrets::default()));
    assert_eq!(outcome.error_class(), Some("secret"));
    let outcome = refused(&|queue| queue.auth = Err("the token cannot be decrypted".to_owned()));
    let detail = "the token cannot be decrypted".to_owned();
    assert_eq!(outcome, Outcome::Unauthenticated { detail });
}
