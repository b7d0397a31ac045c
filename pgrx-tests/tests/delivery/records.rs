//! Every attempt leaves a record, whatever the receiver answered.

use std::time::{Duration, SystemTime};

use pg_hooks_tests::vitals::{peak_kb, private_kb};
use pg_hooks_tests::{Answer, Behaviour, wait_until};

use crate::site::{SOON, Site, arrived_at, assert_within, ms};

/// The clock of the day and the one that a duration is taken with need not agree on every millisecond.
const CLOCKS: Duration = ms(150);

const RETRIES: &str = ", max_attempts => 2, min_backoff => '10 ms', max_backoff => '10 ms'";

#[test]
fn attempt_is_recorded_with_its_time_and_what_was_answered() {
    let mut site = Site::settled();
    const SLOW: Duration = ms(200);
    let slow = |status, body: &str| Behaviour::After(SLOW, Box::new(Answer::new(status).text(body).into()));
    site.receiver.on(
        "/q",
        Behaviour::Script(vec![slow(500, "sorry"), slow(202, "thanks")]),
    );
    let queue = site.queue("q", RETRIES);
    let mut before = SystemTime::now();
    let id = site.send("q", "x");
    site.wait_for_state(id, "delivered");
    let over = SystemTime::now();
    let arrived = site.arrivals("q", 2);
    let attempts = site.attempts(id);
    assert_eq!(attempts.len(), 2);
    for (number, (attempt, request)) in (1..).zip(attempts.iter().zip(&arrived)) {
        assert_eq!(attempt.number, number);
        let arrived = arrived_at(request);
        assert!(before <= attempt.began + CLOCKS, "{before:?}: {attempt:?}");
        assert!(attempt.began <= arrived + CLOCKS, "{arrived:?}: {attempt:?}");
        assert!(
            arrived + SLOW <= attempt.ended() + CLOCKS,
            "{arrived:?}: {attempt:?}"
        );
        assert!(attempt.ended() <= over + CLOCKS, "{over:?}: {attempt:?}");
        before = attempt.ended();
        assert!(!attempt.truncated);
    }
    assert_eq!(
        (attempts[0].result(), attempts[1].result()),
        ((Some(500), Some("status")), (Some(202), None))
    );
    assert_eq!(attempts[0].error.as_deref(), Some("receiver answered 500"));
    assert_eq!(attempts[1].error, None);
    let responses = attempts
        .iter()
        .map(|attempt| attempt.response.as_deref().unwrap());
    assert!(responses.eq([&b"sorry"[..], b"thanks"]));
    assert_eq!(
        site.value::<i64>("select distinct queue_id from hooks.attempt"),
        queue
    );
    let log = site.row("select * from hooks.message_log where id = $1", &[&id]);
    assert_eq!(
        (log.get::<_, i64>("queue_id"), log.get::<_, &str>("state")),
        (queue, "delivered")
    );
    assert_eq!(
        (log.get::<_, i32>("attempts"), log.get::<_, i16>("last_status")),
        (2, 202)
    );
}

#[test]
fn odd_bytes_of_an_answer_are_recorded_as_they_came() {
    let mut site = Site::settled();
    let odd: &[u8] = b"\x00 nul, \xff\xfe no text, \xed\xa0\x80 \\000 '\"\r\n\x00";
    for status in [200, 500] {
        site.receiver.on(
            "/q",
            Answer::new(status)
                .header("content-type", "text/plain; charset=\u{e9}\t;")
                .body(odd),
        );
        if status == 200 {
            site.queue("q", ", max_attempts => 1");
        }
        let id = site.send("q", "x");
        site.wait_for_state(id, if status == 200 { "delivered" } else { "dead" });
        let attempt = site.attempt(id);
        assert_eq!(
            (attempt.status, attempt.response.as_deref()),
            (Some(status as i16), Some(odd))
        );
    }
}

#[test]
fn long_answer_is_cut_at_the_capture_limit() {
    let mut site = Site::settled();
    let limit = 16 << 10;
    for (length, truncated) in [
        (limit - 1, false),
        (limit, false),
        (limit + 1, true),
        (1 << 20, true),
    ] {
        let body: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        site.receiver
            .on(&format!("/q{length}"), Answer::new(200).body(body.clone()));
        let name = format!("q{length}");
        site.queue(&name, "");
        let id = site.send(&name, "x");
        site.wait_for_state(id, "delivered");
        let attempt = site.attempt(id);
        assert_eq!(attempt.truncated, truncated, "{length}");
        assert!(attempt.response.unwrap() == body[..length.min(limit)], "{length}");
    }
}

#[test]
fn answer_of_two_gigabytes_is_truncated_and_takes_no_memory() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::HugeBody(2 << 30));
    site.queue("q", "");
    let leader = site.leader();
    let before = private_kb(leader);
    let peak = peak_kb(leader, || {
        site.run("select hooks.send('q', n::text) from generate_series(1, 8) as n");
        site.wait_until("select count(*) = 8 from hooks.message_log where state = 'delivered'");
    });
    assert!(
        peak < before + 40_000,
        "resident memory went from {before} kB to {peak} kB"
    );
    let (long, short): (i64, i64) = {
        let row = site.row(
            "select count(*) filter (where truncated and status = 200 and length(response) = 16384),
                    count(*) filter (where duration_ms > 14000)
             from hooks.attempt",
            &[],
        );
        (row.get(0), row.get(1))
    };
    assert_eq!((long, short, site.arrived("q")), (8, 0, 8));
}

#[test]
fn answer_with_65000_headers_is_recorded_and_tried_again() {
    let mut site = Site::settled();
    let script = vec![Behaviour::many_headers(65_000), Behaviour::status(200)];
    site.receiver.on("/q", Behaviour::Script(script));
    site.queue("q", RETRIES);
    let id = site.send("q", "x");
    site.wait_for_state(id, "delivered");
    let attempts = site.attempts(id);
    assert_eq!(attempts[0].result(), (None, Some("connection_lost")));
    assert_eq!(
        (attempts[0].response.as_deref(), attempts[1].result()),
        (None, (Some(200), None))
    );
}

#[test]
fn answers_at_the_edge_of_http_end_in_good_order() {
    let mut site = Site::settled();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let accepted: [(&str, &[u8], &[u8]); 6] = [
        ("chunked", chunked, b"abcdefg"),
        (
            "http10",
            b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
            b"until the end",
        ),
        (
            "continued",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            b"ok",
        ),
        ("nophrase", b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", b"ok"),
        (
            "binaryheader",
            b"HTTP/1.1 200 OK\r\nx: \xff\xfe\r\ncontent-length: 2\r\n\r\nok",
            b"ok",
        ),
        (
            "extra",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
            b"ok",
        ),
    ];
    for (name, answer, response) in accepted {
        let attempt = end_of(&mut site, name, answer);
        assert_eq!(
            (attempt.result(), attempt.response.as_deref()),
            ((Some(200), None), Some(response)),
            "{name}"
        );
    }
    let cut = end_of(
        &mut site,
        "cut",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789",
    );
    assert_eq!((cut.result(), cut.truncated), ((Some(200), None), true));
    let broken: [(&str, &[u8]); 5] = [
        ("silence", b""),
        ("half", b"HTTP/1.1 200 OK\r\ncontent-le"),
        ("nonsense", b"HTTP/1.1 banana\r\n\r\n"),
        ("nul", b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n"),
        ("lengths", b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nok"),
    ];
    for (name, answer) in broken {
        let attempt = end_of(&mut site, name, answer);
        assert!(
            matches!(attempt.result(), (None, Some("connection_lost"))),
            "{name}: {attempt:?}"
        );
        assert!(attempt.error.is_some_and(|error| !error.is_empty()), "{name}");
    }
    let odd = end_of(&mut site, "999", b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(odd.result(), (Some(999), Some("status")));
}

/// The one attempt of a message that gets this answer.
fn end_of(site: &mut Site, name: &str, answer: &[u8]) -> crate::site::Attempt {
    site.receiver
        .on(&format!("/{name}"), Behaviour::Raw(answer.to_vec()));
    site.queue(name, ", max_attempts => 1, timeout => '60 s'");
    let id = site.send(name, "x");
    let attempt = site.attempt(id);
    assert_within(name, attempt.took, Duration::ZERO..=ms(30_000));
    let accepted = attempt.error_class.is_none();
    site.wait_for_state(id, if accepted { "delivered" } else { "dead" });
    // What is sent before it has closed is lost with the connection.
    wait_until("the receiver to have closed", SOON, || {
        site.receiver.open_connections() == 0
    });
    attempt
}
