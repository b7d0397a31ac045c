//! What an answer means.

use std::time::{Duration, SystemTime};

use super::receiver::Receiver;
use super::{attempt, attempt_with, pool, queue};
use crate::domain::endpoint::MAX_URL_BYTES;
use crate::domain::headers::{Headers, MAX_NAME_BYTES, MAX_VALUE_BYTES};
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{AcceptedStatuses, Method, Queue};

#[test]
fn accepted_status_delivers() {
    let receiver = Receiver::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello");
    let attempt = attempt(queue(&receiver.url()));
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 202 });
    assert_eq!((attempt.message_id, attempt.attempt), (1, 1));
    assert_eq!(
        (attempt.response.body.as_slice(), attempt.response.truncated),
        (&b"hello"[..], false)
    );
    assert!(attempt.attempted_at.0 > 1_700_000_000_000_000);
    assert!(attempt.duration > Duration::ZERO);
}

#[test]
fn request_goes_out_as_it_was_built_and_nothing_is_added() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    attempt(queue(&receiver.url()));
    let request = String::from_utf8(receiver.requests().remove(0)).expect("text");
    let mut lines: Vec<_> = request.lines().collect();
    assert_eq!(lines.first(), Some(&"POST /hook HTTP/1.1"));
    assert_eq!(lines.pop(), Some("{}"));
    let mut names: Vec<_> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "webhook-attempt",
            "webhook-id",
            "webhook-timestamp"
        ]
    );
}

#[test]
fn other_status_is_refused_with_its_retry_after() {
    let receiver =
        Receiver::answering("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy");
    let attempt = attempt(queue(&receiver.url()));
    let retry_after = Some(Duration::from_secs(7));
    assert_eq!(
        attempt.outcome,
        Outcome::Refused {
            status: 503,
            retry_after
        }
    );
    assert_eq!(attempt.response.body, b"busy");
}

#[test]
fn listed_statuses_decide() {
    let receiver = Receiver::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let queue = Queue {
        accepted: AcceptedStatuses::Listed(vec![404]),
        ..queue(&receiver.url())
    };
    assert_eq!(attempt(queue).outcome, Outcome::Accepted { status: 404 });
}

#[test]
fn redirect_is_an_answer_and_not_followed() {
    let other = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
            other.url()
        );
        let attempt = attempt(queue(&Receiver::answering(answer).url()));
        assert_eq!(
            attempt.outcome,
            Outcome::Refused {
                status,
                retry_after: None
            }
        );
    }
    assert!(other.requests().is_empty());
}

#[test]
fn informational_answers_are_passed_over() {
    let receiver = Receiver::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(
        attempt(queue(&receiver.url())).outcome,
        Outcome::Accepted { status: 200 }
    );
}

#[test]
fn get_and_delete_send_their_body() {
    for method in [Method::Get, Method::Delete] {
        let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\n");
        let body = Body::Binary(b"\0body\xff".to_vec());
        let attempt = attempt_with(
            &pool(),
            Queue {
                method,
                ..queue(&receiver.url())
            },
            body,
        );
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 204 });
        assert!(receiver.requests()[0].ends_with(b"\r\n\r\n\0body\xff"));
    }
}

#[test]
fn empty_body_is_announced_where_one_is_expected() {
    for (_, method) in Method::ALL {
        let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\n");
        attempt_with(
            &pool(),
            Queue {
                method,
                ..queue(&receiver.url())
            },
            Body::Empty,
        );
        let request = String::from_utf8(receiver.requests().remove(0)).expect("text");
        let announced = !matches!(method, Method::Get | Method::Delete);
        assert!(
            request.starts_with(&format!("{} /hook HTTP/1.1\r\n", method.as_str())),
            "{request}"
        );
        assert_eq!(request.contains("content-length: 0\r\n"), announced, "{request}");
        assert!(!request.contains("transfer-encoding"), "{request}");
    }
}

#[test]
fn long_body_arrives_whole() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let body: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let attempt = attempt_with(&pool(), queue(&receiver.url()), Body::Binary(body.clone()));
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert!(receiver.requests()[0].ends_with(&body));
}

/// A date says when, not how long after the request.
#[test]
fn date_to_retry_after_counts_from_the_answer() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        std::thread::sleep(Duration::from_secs(3));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(10));
        peer.send(
            format!("HTTP/1.1 503 Busy\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n").as_bytes(),
        );
    });
    match attempt(queue(&receiver.url())).outcome {
        Outcome::Refused {
            retry_after: Some(wait),
            ..
        } => assert!(wait <= Duration::from_secs(10), "{wait:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn longest_headers_and_url_arrive_whole() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let name = |number: usize| format!("{number:x>MAX_NAME_BYTES$}");
    let headers: serde_json::Map<_, _> = (0..7)
        .map(|number| (name(number), "v".repeat(MAX_VALUE_BYTES).into()))
        .collect();
    let url = format!(
        "{}?{}",
        receiver.url(),
        "q".repeat(MAX_URL_BYTES - receiver.url().len() - 1)
    );
    let headers = Headers::from_json(&headers.into()).expect("valid headers");
    let attempt = attempt(Queue {
        headers,
        ..queue(&url)
    });
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    let request = String::from_utf8(receiver.requests().remove(0)).expect("text");
    for number in 0..7 {
        assert!(request.contains(&format!(
            "\r\n{}: {}\r\n",
            name(number),
            "v".repeat(MAX_VALUE_BYTES)
        )));
    }
}

#[test]
fn body_of_the_answer_is_kept_as_bytes() {
    let receiver = Receiver::answering(&b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na\0b\xff\xfe\0"[..]);
    assert_eq!(attempt(queue(&receiver.url())).response.body, b"a\0b\xff\xfe\0");
}

#[test]
fn body_without_a_length_ends_with_the_connection() {
    let receiver = Receiver::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nto the end");
    });
    let attempt = attempt(queue(&receiver.url()));
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert_eq!(
        (attempt.response.body.as_slice(), attempt.response.truncated),
        (&b"to the end"[..], false)
    );
}

#[test]
fn chunked_body_is_put_together() {
    let receiver = Receiver::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    assert_eq!(attempt(queue(&receiver.url())).response.body, b"abcde");
}

#[test]
fn answer_before_the_request_was_read_counts() {
    let receiver = Receiver::new(|peer| {
        peer.reset();
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
        let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        peer.hang();
    });
    let body = Body::Binary(vec![b'x'; 4_000_000]);
    let attempt = attempt_with(&pool(), queue(&receiver.url()), body);
    assert_eq!(
        attempt.outcome,
        Outcome::Refused {
            status: 413,
            retry_after: None
        }
    );
}
