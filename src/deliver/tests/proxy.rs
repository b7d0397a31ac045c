//! A proxy that is set, and the rules that hold all the same.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::failures::closed_port;
use super::pki::{Authority, Server};
use super::receiver::Receiver;
use super::{attempt_with, queue, settings};
use crate::deliver::{Pool, Settings};
use crate::domain::address::AddressRules;
use crate::domain::message::Body;
use crate::domain::outcome::{Outcome, Unreachable};
use crate::domain::proxy::Proxy;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A pool that may reach 127.0.0.0/8 by way of `proxy`.
fn pool_through(proxy: &Receiver) -> Pool {
    let proxy = at(proxy);
    Pool::start(Settings { proxy, ..settings() }).expect("a pool")
}

fn at(proxy: &Receiver) -> Option<Proxy> {
    Proxy::parse(&format!("http://127.0.0.1:{}", proxy.port())).expect("a URL")
}

/// A proxy that joins whoever asks with `receiver`, whatever address they ask for.
fn proxy_to(receiver: &Receiver) -> Receiver {
    let to = SocketAddr::from(([127, 0, 0, 1], receiver.port()));
    Receiver::new(move |peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n");
        let there = TcpStream::connect(to).expect("the receiver");
        peer.join(&there);
    })
}

fn unreachable(outcome: Outcome) -> (Unreachable, String) {
    match outcome {
        Outcome::Unreachable { cause, detail } => (cause, detail),
        other => panic!("not unreachable: {other:?}"),
    }
}

#[test]
fn request_goes_through_a_tunnel_to_the_address_that_was_checked() {
    let receiver = Receiver::answering(OK);
    let proxy = proxy_to(&receiver);
    let pool = pool_through(&proxy);
    let url = format!("http://localhost:{}/orders", receiver.port());
    let attempt = attempt_with(&pool, queue(&url), Body::Text(b"{}".to_vec()));
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    let asked = proxy.requests().remove(0);
    let target = format!("127.0.0.1:{}", receiver.port());
    let expected = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&asked), expected);
    let received = receiver.requests().remove(0);
    let received = String::from_utf8_lossy(&received);
    assert!(received.starts_with("POST /orders HTTP/1.1\r\n"), "{received}");
    assert!(received.contains(&format!("host: localhost:{}\r\n", receiver.port())));
}

#[test]
fn name_of_the_receiver_is_what_its_certificate_must_be_for() {
    let authority = Authority::new();
    let (receiver, _) = Server::new(authority.server(&["127.0.0.1"])).start();
    let proxy = proxy_to(&receiver);
    let file = authority.file();
    let pool = Pool::start(Settings {
        proxy: at(&proxy),
        ca_file: Some(file.path().to_owned()),
        ..settings()
    })
    .expect("a pool");
    let url = |host: &str| format!("https://{host}:{}/", receiver.port());
    let attempt = attempt_with(&pool, queue(&url("127.0.0.1")), Body::Empty);
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    let attempt = attempt_with(&pool, queue(&url("localhost")), Body::Empty);
    assert_eq!(unreachable(attempt.outcome).0, Unreachable::Tls);
}

#[test]
fn proxy_is_asked_for_nothing_that_is_denied() {
    let receiver = Receiver::answering(OK);
    let proxy = proxy_to(&receiver);
    let pool = pool_through(&proxy);
    pool.reconfigure(Settings {
        proxy: at(&proxy),
        address_rules: Arc::new(AddressRules::strictest()),
        ..settings()
    });
    let named = format!("https://localhost:{}/", receiver.port());
    for url in ["https://10.1.2.3/", "https://[fd00::1]/", &named] {
        let attempt = attempt_with(&pool, queue(url), Body::Empty);
        assert_eq!(unreachable(attempt.outcome).0, Unreachable::Blocked, "{url}");
    }
    assert!(proxy.requests().is_empty());
}

/// Nothing of the sort is on this machine's network: whoever dials it is the proxy, which here leads to the receiver.
#[test]
fn tunnel_is_kept_for_the_next_request_to_the_same_address() {
    let receiver = Receiver::answering(OK);
    let proxy = proxy_to(&receiver);
    let pool = Pool::start(Settings {
        proxy: at(&proxy),
        address_rules: Arc::new(AddressRules::parse("", false).expect("no networks")),
        ..settings()
    })
    .expect("a pool");
    for _ in 0..3 {
        let attempt = attempt_with(&pool, queue("http://9.9.9.9/"), Body::Empty);
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    }
    assert_eq!(proxy.requests().len(), 1);
    assert!(proxy.requests()[0].starts_with(b"CONNECT 9.9.9.9:80 HTTP/1.1\r\n"));
    assert_eq!(receiver.requests().len(), 3);
}

#[test]
fn proxy_that_refuses_is_named_as_the_reason() {
    for (answer, why) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
            "it answered 403",
        ),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "it answered 407",
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n", "its answer is not valid HTTP"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "its answer is not valid HTTP"),
        ("", "connection closed before an answer"),
        ("HTTP/1.1 200", "connection closed before an answer"),
    ] {
        let proxy = Receiver::new(move |peer| {
            peer.request();
            peer.send(answer.as_bytes());
        });
        let attempt = attempt_with(
            &pool_through(&proxy),
            queue("http://127.0.0.1:9999/"),
            Body::Empty,
        );
        assert_eq!(
            unreachable(attempt.outcome),
            (
                Unreachable::Connect,
                format!("could not reach 127.0.0.1:9999 through the proxy: {why}")
            )
        );
    }
}

#[test]
fn proxy_that_is_not_there_is_unreachable() {
    let (_kept, port) = closed_port();
    let proxy = Proxy::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
    let pool = Pool::start(Settings { proxy, ..settings() }).expect("a pool");
    let attempt = attempt_with(&pool, queue("http://127.0.0.1:9999/"), Body::Empty);
    let detail = format!("could not connect to proxy 127.0.0.1:{port}: Connection refused");
    assert_eq!(unreachable(attempt.outcome), (Unreachable::Connect, detail));
}

#[test]
fn proxy_that_hangs_times_out() {
    let proxy = Receiver::new(|peer| peer.hang());
    let mut queue = queue("http://127.0.0.1:9999/");
    queue.timeout = Duration::from_millis(300);
    let timed_out = Outcome::TimedOut { after: queue.timeout };
    let attempt = attempt_with(&pool_through(&proxy), queue, Body::Empty);
    assert_eq!(attempt.outcome, timed_out);
}
