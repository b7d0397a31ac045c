//! What cannot be delivered is kept with everything needed to understand it and to send it again.

use std::time::SystemTime;

use pg_hooks_tests::{Answer, Behaviour};
use postgres::Row;
use serde_json::{Value, json};

use crate::site::{Attempt, Site};

const TWICE: &str = ", max_attempts => 2, min_backoff => '10 ms', max_backoff => '20 ms'";
const ONCE: &str = ", max_attempts => 1";

fn dead_letter(site: &mut Site, id: i64) -> Row {
    site.wait_for_state(id, "dead");
    site.row("select * from hooks.dead_letter where id = $1", &[&id])
}

#[test]
fn exhausted_message_is_kept_with_body_headers_and_cause() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(503));
    let queue = site.queue("q", TWICE);
    let before: SystemTime = site.value("select clock_timestamp()");
    let id: i64 = site.value(r#"select hooks.send('q', 'the body', headers => '{"X-Kept": "yes"}')"#);
    let letter = dead_letter(&mut site, id);
    assert_eq!(letter.get::<_, i64>("queue_id"), queue);
    assert_eq!(
        (
            letter.get::<_, &str>("body"),
            letter.get::<_, Option<&[u8]>>("body_bytes")
        ),
        ("the body", None)
    );
    assert_eq!(letter.get::<_, Value>("headers"), json!({"X-Kept": "yes"}));
    assert_eq!(
        (
            letter.get::<_, i32>("attempts"),
            letter.get::<_, i16>("last_status")
        ),
        (2, 503)
    );
    assert_eq!(
        (
            letter.get::<_, &str>("error_class"),
            letter.get::<_, &str>("last_error")
        ),
        ("status", "receiver answered 503")
    );
    let [created_at, due_at, dead_at]: [SystemTime; 3] =
        ["created_at", "due_at", "dead_at"].map(|at| letter.get(at));
    let after: SystemTime = site.value("select clock_timestamp()");
    assert!(
        [before, created_at, due_at, dead_at, after].is_sorted(),
        "{letter:?}"
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 0);
    assert_eq!(site.arrived("q"), 2);
}

#[test]
fn binary_body_is_kept_and_missing_answer_leaves_no_status() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::Close);
    site.queue("q", ONCE);
    let body = vec![0, 255, 0, 1];
    let id: i64 = site.value_with("select hooks.send('q', $1::bytea)", &[&body]);
    let letter = dead_letter(&mut site, id);
    assert_eq!(
        (
            letter.get::<_, Option<&str>>("body"),
            letter.get::<_, &[u8]>("body_bytes")
        ),
        (None, &body[..])
    );
    assert_eq!(letter.get::<_, Option<i16>>("last_status"), None);
    assert_eq!(letter.get::<_, &str>("error_class"), "connection_lost");
}

#[test]
fn error_answer_is_recorded_whatever_its_content_type() {
    let mut site = Site::settled();
    for (path, answer, response) in [
        (
            "json",
            Answer::new(422).json(r#"{"error": "no"}"#),
            &br#"{"error": "no"}"#[..],
        ),
        ("text", Answer::new(400).text("no"), b"no"),
        ("bare", Answer::new(500).body("no type"), b"no type"),
        ("none", Answer::new(404), b""),
    ] {
        let status = i16::try_from(answer.status).unwrap();
        site.receiver.on(&format!("/{path}"), answer);
        site.queue(path, ONCE);
        let id = site.send(path, "x");
        let letter = dead_letter(&mut site, id);
        assert_eq!(
            (
                letter.get::<_, i32>("attempts"),
                letter.get::<_, i16>("last_status")
            ),
            (1, status)
        );
        let attempt = site.attempt(id);
        assert_eq!(attempt.result(), (Some(status), Some("status")));
        assert_eq!(
            (attempt.response.as_deref(), attempt.truncated),
            (Some(response), false),
            "{path}"
        );
    }
}

#[test]
fn redriven_message_keeps_its_id_and_has_a_fresh_budget() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", TWICE);
    let id: i64 = site.value(r#"select hooks.send('q', 'again', headers => '{"x-kept": "yes"}')"#);
    site.wait_for_state(id, "dead");
    // Fails once more, so that it needs the second attempt of its new budget.
    site.receiver.on("/q", Behaviour::failing(1, 502));
    assert_eq!(site.value_with::<i64>("select hooks.redrive($1)", &[&id]), 1);
    site.wait_for_state(id, "delivered");
    let arrived = site.arrivals("q", 4);
    let numbers: Vec<_> = arrived.iter().map(|request| request.attempt()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3), Some(4)]);
    let first = arrived[0].clone();
    assert!(arrived.iter().all(|request| {
        (request.webhook_id(), request.text(), request.header("x-kept"))
            == (first.webhook_id(), "again", Some("yes"))
    }));
    let numbers: Vec<_> = site
        .attempts(id)
        .iter()
        .map(|attempt: &Attempt| attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let status = site.row("select attempts, last_status from hooks.status($1)", &[&id]);
    assert_eq!((status.get::<_, i32>(0), status.get::<_, i16>(1)), (4, 200));
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
}

#[test]
fn redriven_message_that_fails_again_is_a_dead_letter_again() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", TWICE);
    let id = site.send("q", "x");
    for attempts in [2, 4, 6] {
        let letter = dead_letter(&mut site, id);
        assert_eq!(letter.get::<_, i32>("attempts"), attempts);
        assert_eq!(site.arrived("q"), usize::try_from(attempts).unwrap());
        assert_eq!(site.value_with::<i64>("select hooks.redrive($1)", &[&id]), 1);
    }
}

#[test]
fn redrive_of_what_is_no_dead_letter_changes_nothing() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id = site.send("q", "x");
    site.wait_for_state(id, "delivered");
    for id in [id, id + 1_000] {
        assert_eq!(site.value_with::<i64>("select hooks.redrive($1)", &[&id]), 0);
    }
    assert_eq!(site.arrived("q"), 1);
}
