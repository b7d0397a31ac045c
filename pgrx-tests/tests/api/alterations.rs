//! Changing queues: what is given changes, and nothing else.

use postgres::Client;
use serde_json::{Value, json};

use crate::database::{Database, run, value};
use crate::policies::database_with_queue;
use crate::queues::policy;
use crate::refusal::{INVALID, assert_refused};

/// A database with the queue "full", which has nothing at its default, and the queue "last".
fn database_with_full_queue() -> Database {
    let database = database_with_queue();
    run(
        &mut database.connect(),
        r#"select hooks.create_queue('last', 'https://example.com/');
           select hooks.create_queue('full', 'https://example.com/', 'PUT', '{"X-A": "b"}', '2 s',
             '{200}', 3, '{1 s, 2 s}', null, null, 'good', 7, false, 'for a test')"#,
    );
    database
}

/// What a call of `alter_queue` with these arguments changes of the queue "full".
#[track_caller]
fn changed(client: &mut Client, arguments: &str) -> Value {
    run(client, "begin");
    let before = policy(client, "full");
    run(client, &format!("select hooks.alter_queue('full', {arguments})"));
    let mut after = policy(client, "full");
    let fields = after.as_object_mut().expect("a row is an object");
    fields.retain(|field, value| before[field] != *value);
    run(client, "rollback");
    after
}

#[test]
fn alter_queue_changes_only_what_is_given() {
    let database = database_with_full_queue();
    let mut client = database.connect();
    let last: i64 = value(&mut client, "select id from hooks.queue where name = 'last'");
    let cases = [
        (
            "url => 'https://example.com/2'",
            json!({"url": "https://example.com/2"}),
        ),
        ("method => 'PATCH'", json!({"method": "PATCH"})),
        ("headers => '{\"X-C\": \"d\"}'", json!({"headers": {"X-C": "d"}})),
        ("timeout => '3 s'", json!({"timeout": "00:00:03"})),
        (
            "accepted_statuses => '{201}'",
            json!({"accepted_statuses": [201]}),
        ),
        ("max_attempts => 4", json!({"max_attempts": 4})),
        (
            "retry_schedule => '{3 s}'",
            json!({"retry_schedule": ["00:00:03"]}),
        ),
        (
            "min_backoff => '1 s', max_backoff => '2 s'",
            json!({"retry_schedule": null, "min_backoff": "00:00:01", "max_backoff": "00:00:02"}),
        ),
        (
            "dead_letter_queue => 'last'",
            json!({"dead_letter_queue_id": last}),
        ),
        ("max_in_flight => 8", json!({"max_in_flight": 8})),
        ("active => true", json!({"active": true})),
        ("description => 'other'", json!({"description": "other"})),
        ("ordering_policy => 'block'", json!({"ordering_policy": "block"})),
        ("bury_expired => true", json!({"bury_expired": true})),
        (
            "transform => 'pg_catalog.jsonb_concat'",
            json!({"transform": "pg_catalog.jsonb_concat"}),
        ),
        ("keep_bodies => true", json!({"keep_bodies": true})),
        ("keep_attempts => 'none'", json!({"keep_attempts": "none"})),
        ("reset => '{}'", json!({})),
        ("reset => null", json!({})),
        ("reset => '{null}'", json!({})),
    ];
    for (arguments, expected) in cases {
        assert_eq!(changed(&mut client, arguments), expected, "{arguments}");
    }
}

#[test]
fn alter_queue_resets_what_is_named_and_nothing_else() {
    let database = database_with_full_queue();
    let mut client = database.connect();
    let cases = [
        ("headers", json!({"headers": {}})),
        ("accepted_statuses", json!({"accepted_statuses": null})),
        ("retry", json!({"retry_schedule": null})),
        ("dead_letter_queue", json!({"dead_letter_queue_id": null})),
        ("description", json!({"description": null})),
        (
            "headers, description",
            json!({"headers": {}, "description": null}),
        ),
    ];
    for (field, expected) in cases {
        let arguments = format!("reset => '{{{field}}}'");
        assert_eq!(changed(&mut client, &arguments), expected, "{arguments}");
    }
    let both = "description => 'new', reset => '{description}'";
    assert_eq!(changed(&mut client, both), json!({"description": "new"}));
}

#[test]
fn retry_schedule_takes_the_place_of_a_backoff() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.create_queue('full', 'https://example.com/', min_backoff => '1 s', max_backoff => '9 s')",
    );
    assert_eq!(
        changed(&mut client, "max_backoff => '5 s'"),
        json!({"max_backoff": "00:00:05"})
    );
    assert_eq!(
        changed(&mut client, "retry_schedule => '{3 s}'"),
        json!({"retry_schedule": ["00:00:03"], "min_backoff": null, "max_backoff": null})
    );
    assert_eq!(
        changed(&mut client, "reset => '{retry}'"),
        json!({"min_backoff": null, "max_backoff": null})
    );
}

#[test]
fn alter_queue_refuses_to_reset_what_has_no_default() {
    let database = database_with_queue();
    let mut client = database.connect();
    for field in ["url", "nonsense"] {
        assert_refused(
            &mut client,
            &format!("select hooks.alter_queue('good', reset => '{{headers, {field}}}')"),
            INVALID,
            &format!("\"{field}\" cannot be reset"),
            "reset takes headers, accepted_statuses, retry, dead_letter_queue, description, rate, breaker, transform, limits.",
        );
    }
}
