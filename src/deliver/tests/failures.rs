//! What the absence of an answer means.

use super::receiver::Receiver;
use super::{attempt, attempt_with, busy, finished, job, pool, queue, settings};
use crate::deliver::{Pool, Settings};
use crate::domain::address::AddressRules;
use crate::domain::message::Body;
use crate::domain::outcome::{Outcome, Unreachable};
use crate::domain::queue::Queue;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

fn unreachable(outcome: &Outcome) -> (Unreachable, &str) {
    match outcome {
        Outcome::Unreachable { cause, detail } => (*cause, detail),
        other => panic!("not unreachable: {other:?}"),
    }
}

fn lost(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::ConnectionLost { detail } => detail,
        other => panic!("not lost: {other:?}"),
    }
}

/// A port that nobody listens on, nor gets while the socket is kept, which is bound and does not listen.
pub fn closed_port() -> (TcpListener, u16) {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};
    use std::os::fd::AsRawFd;
    let flags = SockFlag::SOCK_CLOEXEC;
    let kept = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
    bind(kept.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port");
    let kept = TcpListener::from(kept);
    let port = kept.local_addr().expect("an address").port();
    (kept, port)
}

#[test]
fn closed_port_is_unreachable() {
    let (_kept, port) = closed_port();
    let attempt = attempt(queue(&format!("http://127.0.0.1:{port}/")));
    let detail = format!("could not connect to 127.0.0.1:{port}: Connection refused");
    assert_eq!(
        unreachable(&attempt.outcome),
        (Unreachable::Connect, detail.as_str())
    );
}

#[test]
fn unknown_name_is_unreachable() {
    // The machine's DNS may take its time.
    let attempt = attempt(Queue {
        timeout: 2 * super::SOON,
        ..queue("http://no-such-host.invalid/")
    });
    let (cause, detail) = unreachable(&attempt.outcome);
    assert_eq!(cause, Unreachable::Dns);
    assert!(
        detail.starts_with("could not resolve host \"no-such-host.invalid\": "),
        "{detail}"
    );
}

#[test]
fn denied_address_is_not_dialled() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let closed = Settings {
        address_rules: Arc::new(AddressRules::parse("", false).expect("no networks")),
        ..settings()
    };
    let pool = Pool::start(closed).expect("a pool");
    let literal = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
    assert_eq!(
        unreachable(&literal.outcome),
        (Unreachable::Blocked, "address 127.0.0.1 is loopback")
    );
    let named = attempt_with(
        &pool,
        queue(&format!("http://localhost:{}/", receiver.port())),
        Body::Empty,
    );
    let (cause, detail) = unreachable(&named.outcome);
    assert_eq!(cause, Unreachable::Blocked);
    assert!(detail.ends_with(" is loopback"), "{detail}");
    assert!(receiver.requests().is_empty());
}

#[test]
fn denied_addresses_of_a_name_are_passed_over() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    // Where localhost is ::1 as well, that one is denied, as only 127.0.0.0/8 is open.
    let attempt = attempt(queue(&format!("http://localhost:{}/", receiver.port())));
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
}

#[test]
fn rules_apply_to_connections_that_are_open_already() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let pool = pool();
    let open = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
    assert_eq!(open.outcome, Outcome::Accepted { status: 200 });
    pool.reconfigure(Settings {
        address_rules: Arc::new(AddressRules::parse("", false).expect("no networks")),
        ..settings()
    });
    let closed = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
    assert_eq!(unreachable(&closed.outcome).0, Unreachable::Blocked);
}

#[test]
fn https_to_a_plain_port_fails_in_the_handshake() {
    let receiver = Receiver::new(|peer| {
        peer.reset();
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        peer.hang();
    });
    let attempt = attempt(queue(&format!("https://127.0.0.1:{}/", receiver.port())));
    let (cause, detail) = unreachable(&attempt.outcome);
    assert_eq!(cause, Unreachable::Tls);
    assert!(detail.starts_with("TLS handshake failed: "), "{detail}");
}

#[test]
fn receiver_that_hangs_times_out() {
    let receiver = Receiver::new(|peer| peer.hang());
    let timeout = Duration::from_millis(300);
    let attempt = attempt(Queue {
        timeout,
        ..queue(&receiver.url())
    });
    assert_eq!(attempt.outcome, Outcome::TimedOut { after: timeout });
    assert!(
        (timeout..super::SOON).contains(&attempt.duration),
        "{:?}",
        attempt.duration
    );
}

#[test]
fn handshake_that_hangs_times_out() {
    let receiver = Receiver::new(|peer| peer.hang());
    let timeout = Duration::from_millis(300);
    let attempt = attempt(Queue {
        timeout,
        ..queue(&format!("https://127.0.0.1:{}/", receiver.port()))
    });
    assert_eq!(attempt.outcome, Outcome::TimedOut { after: timeout });
}

#[test]
fn header_that_drips_times_out() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
        {
            if !peer.send(&[*byte]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let timeout = Duration::from_millis(300);
    let attempt = attempt(Queue {
        timeout,
        ..queue(&receiver.url())
    });
    assert_eq!(attempt.outcome, Outcome::TimedOut { after: timeout });
}

#[test]
fn receiver_that_stops_reading_times_out() {
    let receiver = Receiver::new(|peer| {
        peer.reset();
        std::thread::sleep(super::SOON);
    });
    let timeout = Duration::from_millis(300);
    let body = Body::Binary(vec![b'x'; 50_000_000]);
    let attempt = attempt_with(
        &pool(),
        Queue {
            timeout,
            ..queue(&receiver.url())
        },
        body,
    );
    assert_eq!(attempt.outcome, Outcome::TimedOut { after: timeout });
}

#[test]
fn reset_loses_the_connection() {
    let receiver = Receiver::new(|peer| peer.reset());
    let attempt = attempt(queue(&receiver.url()));
    assert_eq!(lost(&attempt.outcome), "Connection reset by peer");
}

#[test]
fn close_without_an_answer_loses_the_connection() {
    let receiver = Receiver::new(|peer| {
        peer.request();
    });
    let attempt = attempt(queue(&receiver.url()));
    assert_eq!(lost(&attempt.outcome), "connection closed before an answer");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn close_within_the_header_loses_the_connection() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nX-Half");
    });
    lost(&attempt(queue(&receiver.url())).outcome);
}

#[test]
fn garbage_is_not_an_answer() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\0\xff\xfe\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 99999 x\r\n\r\n",
    ] {
        let attempt = attempt(queue(&Receiver::answering(garbage).url()));
        let detail = lost(&attempt.outcome);
        assert!(detail.starts_with("answer is not valid HTTP: "), "{detail}");
    }
}

#[test]
fn panic_is_a_fault_of_one_attempt() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let pool = Pool::start(Settings {
        max_threads: 1,
        ..settings()
    })
    .expect("a pool");
    // No clock reaches that far.
    let poisoned = Arc::new(Queue {
        timeout: Duration::MAX,
        ..queue(&receiver.url())
    });
    pool.submit(job(&poisoned, 1));
    match finished(&pool, 1).remove(0).outcome {
        Outcome::Fault { detail } => assert!(
            detail.starts_with("panic at ") && detail.contains(".rs:"),
            "{detail}"
        ),
        other => panic!("not a fault: {other:?}"),
    }
    let next = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
    assert_eq!(next.outcome, Outcome::Accepted { status: 200 });
}

#[test]
fn connect_that_hangs_times_out() {
    let (listener, _first) = busy("127.0.0.1:0");
    let port = listener.local_addr().expect("an address").port();
    let timeout = Duration::from_millis(300);
    let attempt = attempt(Queue {
        timeout,
        ..queue(&format!("http://127.0.0.1:{port}/"))
    });
    assert_eq!(attempt.outcome, Outcome::TimedOut { after: timeout });
    assert_eq!(attempt.trace.first_byte, None);
}
