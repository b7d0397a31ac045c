//! Answers of all kinds, whole and broken, in pieces of any size.

use proptest::prelude::*;

use super::super::spoken;
use crate::domain::outcome::Outcome;

const KEPT: usize = 100;

/// Near the grammar of HTTP, so that a good part is an answer.
fn near_answer() -> impl Strategy<Value = Vec<u8>> {
    let line = "HTTP/1\\.[01] [1-5][0-9]{2}( [ -~]{0,5})?\r\n|[ -~]{0,20}\r?\n";
    let header = "(Content-Length: [0-9]{1,4}|Transfer-Encoding: chunked|Retry-After: [0-9a-zA-Z ,:]{0,12}\
                  |Connection: close|Content-Encoding: gzip|Location: /|[!-~]{0,9}:? ?[ -~]{0,12})\r\n";
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    (line, proptest::collection::vec(header, 0..5), "(\r\n){0,2}", body).prop_map(
        |(line, headers, end, body)| {
            let mut answer = line.into_bytes();
            headers
                .iter()
                .for_each(|header| answer.extend_from_slice(header.as_bytes()));
            answer.extend_from_slice(end.as_bytes());
            answer.extend_from_slice(&body);
            answer
        },
    )
}

proptest! {
    #[test]
    fn answer_is_a_status_or_no_answer_and_never_more_than_is_kept(
        answer in near_answer(), at_a_time in 1_usize..200
    ) {
        let (outcome, response) = spoken::exchange(&answer, at_a_time, KEPT);
        prop_assert!(response.body.len() <= KEPT);
        match &outcome {
            Outcome::Accepted { status } => prop_assert!((200..300).contains(status)),
            Outcome::Refused { status, .. } => prop_assert!(!(200..300).contains(status)),
            Outcome::ConnectionLost { .. } => prop_assert!(response.body.is_empty()),
            other => prop_assert!(false, "{:?}", other),
        }
        // In whatever pieces it comes, it is the same answer.
        let (at_once, whole) = spoken::exchange(&answer, usize::MAX, KEPT);
        prop_assert_eq!(outcome, at_once);
        prop_assert_eq!(response.body, whole.body);
    }
}

#[test]
fn body_is_what_the_header_says_and_no_more() {
    for (answer, status, body) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 x\r\n\r\n",
            200,
            "ok",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nrest",
            200,
            "ok",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\nok", 204, ""),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 x\r\nContent-Length: 1\r\n\r\na",
            202,
            "a",
        ),
        ("HTTP/1.0 201 x\r\n\r\nto the end", 201, "to the end"),
    ] {
        let (outcome, response) = spoken::exchange(answer.as_bytes(), 3, KEPT);
        assert_eq!(outcome, Outcome::Accepted { status }, "{answer}");
        assert_eq!(response.body, body.as_bytes(), "{answer}");
    }
}

#[test]
fn header_that_does_not_end_is_no_answer() {
    let endless = format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(1_000_000));
    for at_a_time in [100, 100_000] {
        let (outcome, response) = spoken::exchange(endless.as_bytes(), at_a_time, 100);
        let said = outcome.error_text().expect("no delivery");
        assert_eq!(outcome.error_class(), Some("connection_lost"));
        assert!(said.starts_with("header of the answer is longer than "), "{said}");
        assert!(response.body.is_empty());
    }
}
