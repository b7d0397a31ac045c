//! Ordering keys and ends of messages: what is stored, and what is refused.

use postgres::Client;

use crate::database::{column, run, value};
use crate::policies::{assert_policy_refused, database_with_queue};
use crate::refusal::{INVALID, assert_all_refused};

/// Every way to send a message for 2100 with these columns, each with its value as SQL.
fn ways(columns: &[(&str, &str)]) -> Vec<String> {
    let named: String = columns
        .iter()
        .map(|(name, value)| format!(", {name} => {value}"))
        .collect();
    let (names, values): (Vec<&str>, Vec<&str>) = columns.iter().copied().unzip();
    let at = "at => '2100-01-01'";
    let mut ways: Vec<String> = ["'x'", "'1'::json", "'1'::jsonb", "'x'::bytea"]
        .iter()
        .map(|body| format!("select hooks.send('good', {body}, {at}{named})"))
        .collect();
    for kind in ["text", "json", "jsonb", "bytea"] {
        ways.push(format!(
            "select hooks.send_batch('good', array['1', '2']::{kind}[], {at}{named})"
        ));
    }
    ways.push(format!(
        "insert into hooks.message (queue_id, body, due_at, {})
         select id, 'x', '2100-01-01', {} from hooks.queue",
        names.join(", "),
        values.join(", ")
    ));
    ways
}

/// Asserts that every way to send refuses these columns, and a plain UPDATE too.
#[track_caller]
fn assert_message_refused(client: &mut Client, columns: &[(&str, &str)], message: &str, hint: &str) {
    let changes: Vec<String> = columns
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let mut statements = ways(columns);
    statements.push(format!("update hooks.message set {}", changes.join(", ")));
    assert_all_refused(client, &statements, INVALID, message, hint);
}

#[test]
fn key_and_end_are_stored_by_every_way_to_send() {
    let database = database_with_queue();
    let mut client = database.connect();
    let keys = [
        "'a'",
        "'Ünïcödé \n \"'",
        "repeat('x', 1000)",
        "repeat('ö', 500)",
        "null",
    ];
    let ends = [
        "'2100-01-01 00:00:00.000001'",
        "'2150-01-01'",
        "'infinity'",
        "null",
    ];
    for (n, key) in keys.iter().enumerate() {
        let end = ends[n % ends.len()];
        for way in ways(&[("ordering_key", key), ("expires_at", end)]) {
            run(&mut client, &format!("truncate hooks.message; {way}"));
            let kept = format!(
                "select bool_and(ordering_key is not distinct from {key}
                   and expires_at is not distinct from {end}) from hooks.message"
            );
            assert!(value::<bool>(&mut client, &kept), "{way}");
        }
    }
}

#[test]
fn message_has_neither_key_nor_end_by_default() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'x', at => '2100-01-01');
         select hooks.send_batch('good', array['x'], at => '2100-01-01')",
    );
    let none = "select bool_and(ordering_key is null and expires_at is null) from hooks.message";
    assert!(value::<bool>(&mut client, none));
}

#[test]
fn batch_of_a_key_has_ids_in_the_order_of_its_bodies() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send_batch('good', array['c', 'a', 'b'], at => '2100-01-01', ordering_key => 'k')",
    );
    let bodies: Vec<String> = column(&mut client, "select body from hooks.message order by id");
    assert_eq!(bodies, ["c", "a", "b"]);
}

#[test]
fn key_that_is_empty_or_too_long_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01');
         create table long_key as select repeat('x', 1000000) as key",
    );
    let keys = [
        "''",
        "repeat('x', 1001)",
        "repeat('ö', 501)",
        "(select key from long_key)",
    ];
    for key in keys {
        assert_message_refused(
            &mut client,
            &[("ordering_key", key)],
            "ordering key must have 1 to 1000 bytes",
            "Leave it out for a message without order.",
        );
    }
}

#[test]
fn end_that_is_past_or_not_after_the_due_time_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01')",
    );
    let (message, hint) = (
        "message expires before it is due",
        "Give an expires_at after the due time, and after now.",
    );
    let ends = [
        "'2001-01-01'",
        "now()",
        "'-infinity'",
        "'2099-12-31'",
        "'2100-01-01'",
    ];
    for end in ends {
        assert_message_refused(&mut client, &[("expires_at", end)], message, hint);
    }
    let due_now = [
        "select hooks.send('good', 'x', expires_at => now())",
        "select hooks.send('good', 'x', at => '2001-01-01', expires_at => '2001-01-02')",
        "select hooks.send('good', 'x', at => '2001-01-01', expires_at => now() - interval '1 us')",
        "select hooks.send_batch('good', array['x'], expires_at => now())",
        "insert into hooks.message (queue_id, expires_at) select id, now() from hooks.queue",
    ];
    assert_all_refused(&mut client, &due_now, INVALID, message, hint);
}

#[test]
fn due_time_that_is_not_before_the_end_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01', expires_at => '2100-01-02')",
    );
    for due_at in ["'2100-01-02'", "'2200-01-01'"] {
        assert_all_refused(
            &mut client,
            &[format!("update hooks.message set due_at = {due_at}")],
            INVALID,
            "message expires before it is due",
            "Give an expires_at after the due time, and after now.",
        );
    }
    run(
        &mut client,
        "update hooks.message set due_at = '2100-01-01 23:59'",
    );
}

#[test]
fn unknown_ordering_policy_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    for policy in ["wait", "", "SKIP", "block "] {
        assert_policy_refused(
            &mut client,
            &[("ordering_policy", &format!("'{policy}'"))],
            &format!("ordering policy \"{policy}\" is not known"),
            "Use skip, so that a dead letter lets the next message of its ordering key go, or block.",
        );
    }
}

#[test]
fn null_for_what_becomes_of_keys_and_ends_is_refused() {
    let database = database_with_queue();
    let statements = |column: &str| {
        [
            format!("select hooks.create_queue('bad', 'https://example.com/', {column} => null)"),
            format!(
                "insert into hooks.queue (name, url, {column}) values ('bad', 'https://example.com/', null)"
            ),
            format!("update hooks.queue set {column} = null"),
        ]
    };
    assert_all_refused(
        &mut database.connect(),
        &statements("bury_expired"),
        INVALID,
        "bury_expired must not be null",
        "Give true to keep expired messages as dead letters, or false.",
    );
    assert_all_refused(
        &mut database.connect(),
        &statements("ordering_policy"),
        INVALID,
        "ordering policy null is not known",
        "Use skip, so that a dead letter lets the next message of its ordering key go, or block.",
    );
}
