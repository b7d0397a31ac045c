//! Answers that would eat memory or time.

use std::time::Duration;

use super::receiver::Receiver;
use super::{attempt, queue, settings};
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;

/// Memory of this process that is in RAM, in kB.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn endless_body_is_cut_without_being_held() {
    for header in [
        "",
        "Content-Length: 2000000000\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let receiver = Receiver::new(move |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 200 OK\r\n{header}\r\n").as_bytes());
            let chunk = [b"10000\r\n", vec![b'x'; 0x10000].as_slice(), b"\r\n"].concat();
            while peer.send(&chunk) {}
        });
        let before = resident_kb();
        let attempt = attempt(queue(&receiver.url()));
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
        assert_eq!(
            (attempt.response.body.len(), attempt.response.truncated),
            (settings().capture_limit, true)
        );
        // Other tests run at the same time, so this only catches what grows without bound.
        assert!(resident_kb() < before + 500_000);
    }
}

#[test]
fn body_that_drips_does_not_change_the_outcome() {
    for status in ["200 OK", "500 No"] {
        let receiver = Receiver::new(move |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 1000000\r\n\r\n").as_bytes());
            while peer.send(b"x") {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let timeout = Duration::from_secs(3);
        let attempt = attempt(Queue {
            timeout,
            ..queue(&receiver.url())
        });
        assert_eq!(attempt.outcome.status(), status[..3].parse().ok());
        assert!(attempt.response.truncated);
        assert!(!attempt.response.body.is_empty());
        assert!(attempt.duration < timeout * 10, "{:?}", attempt.duration);
    }
}

#[test]
fn body_that_drips_does_not_hold_the_thread_until_the_timeout() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n");
        while peer.send(b"x") {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let attempt = attempt(Queue {
        timeout: Duration::from_secs(60),
        ..queue(&receiver.url())
    });
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert!(attempt.response.truncated);
    assert!(
        attempt.duration < Duration::from_secs(30),
        "{:?}",
        attempt.duration
    );
}

#[test]
fn body_that_breaks_off_does_not_change_the_outcome() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let attempt = attempt(queue(&receiver.url()));
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert_eq!(
        (attempt.response.body.as_slice(), attempt.response.truncated),
        (&b"half"[..], true)
    );
}

#[test]
fn header_without_end_is_not_an_answer() {
    for line in [
        "X-Many: header\r\n".to_owned(),
        format!("X-Long: {}", "x".repeat(100_000)),
    ] {
        let receiver = Receiver::new(move |peer| {
            peer.request();
            peer.send(b"HTTP/1.1 200 OK\r\n");
            while peer.send(line.as_bytes()) {}
        });
        let attempt = attempt(queue(&receiver.url()));
        assert!(
            matches!(attempt.outcome, Outcome::ConnectionLost { .. }),
            "{:?}",
            attempt.outcome
        );
        assert!(attempt.duration < super::SOON, "{:?}", attempt.duration);
    }
}

#[test]
fn many_headers_are_not_an_answer() {
    let headers: String = (0..65_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let receiver = Receiver::answering(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n"));
    let attempt = attempt(queue(&receiver.url()));
    assert!(
        matches!(attempt.outcome, Outcome::ConnectionLost { .. }),
        "{:?}",
        attempt.outcome
    );
}

#[test]
fn hundred_headers_are_an_answer() {
    let headers: String = (0..100)
        .map(|number| format!("X-{number}: {}\r\n", "y".repeat(100)))
        .collect();
    let receiver = Receiver::answering(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n"));
    assert_eq!(
        attempt(queue(&receiver.url())).outcome,
        Outcome::Accepted { status: 200 }
    );
}

#[test]
fn endless_informational_answers_are_not_read_for_ever() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        while peer.send(b"HTTP/1.1 102 Processing\r\n\r\n") {}
    });
    let lost = Outcome::ConnectionLost {
        detail: "header of the answer is longer than 16384 bytes".to_owned(),
    };
    assert_eq!(attempt(queue(&receiver.url())).outcome, lost);
}
