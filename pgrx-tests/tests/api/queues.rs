//! Making, changing, pausing and dropping queues.

use pg_hooks_tests::Receiver;
use postgres::Client;
use serde_json::{Value, json};

use crate::database::{Database, SOON, column, run, value};
use crate::policies::database_with_queue;
use crate::refusal::{IN_USE, assert_refused};

/// The policy of a queue, without what differs between any two.
#[track_caller]
pub fn policy(client: &mut Client, name: &str) -> Value {
    value(
        client,
        &format!(
            "select to_jsonb(q) - '{{id, name, created_at, updated_at, home}}'::text[]
             from hooks.queue as q where name = '{name}'"
        ),
    )
}

#[test]
fn defaults_of_create_queue_are_those_of_the_table() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "insert into hooks.queue (name, url) values ('plain', 'https://example.com/')",
    );
    let expected = json!({
        "url": "https://example.com/", "method": "POST", "headers": {}, "timeout": "00:00:15",
        "accepted_statuses": null, "max_attempts": 10, "retry_schedule": null, "min_backoff": null,
        "max_backoff": null, "dead_letter_queue_id": null, "max_in_flight": 64, "active": true,
        "description": null, "rate_limit": null, "rate_interval": "00:00:01", "rate_burst": null,
        "breaker_threshold": 0.7, "breaker_window": "00:05:00", "breaker_min_requests": 10,
        "breaker_open_time": "00:00:30", "breaker_max_probes": 10,
        "ordering_policy": "skip", "bury_expired": false,
        "transform": null,
        "keep_bodies": false, "keep_attempts": "all",
        "max_messages": null, "max_bytes": null, "overflow": "refuse", "signatures": []
    });
    assert_eq!(policy(&mut client, "good"), expected);
    assert_eq!(policy(&mut client, "plain"), expected);
}

#[test]
fn create_queue_stores_everything_that_is_given() {
    let database = database_with_queue();
    let mut client = database.connect();
    let id: i64 = value(
        &mut client,
        r#"select hooks.create_queue('full', 'https://example.com/x?y=z', 'PUT', '{"X-A": "b"}', '2 s',
             '{200, 404}', 3, null, '1 s', '1 h', 'good', 7, false, 'for a test',
             100, '1 min', 20, 0.5, '1 h', 30, '2 min', 5, 'block', true,
             transform => 'pg_catalog.jsonb_concat', keep_bodies => true, keep_attempts => 'failures')"#,
    );
    let stored: i64 = value(&mut client, "select id from hooks.queue where name = 'full'");
    assert_eq!(stored, id);
    let good: i64 = value(&mut client, "select id from hooks.queue where name = 'good'");
    let expected = json!({
        "url": "https://example.com/x?y=z", "method": "PUT", "headers": {"X-A": "b"}, "timeout": "00:00:02",
        "accepted_statuses": [200, 404], "max_attempts": 3, "retry_schedule": null,
        "min_backoff": "00:00:01", "max_backoff": "01:00:00", "dead_letter_queue_id": good,
        "max_in_flight": 7, "active": false, "description": "for a test",
        "rate_limit": 100, "rate_interval": "00:01:00", "rate_burst": 20,
        "breaker_threshold": 0.5, "breaker_window": "01:00:00", "breaker_min_requests": 30,
        "breaker_open_time": "00:02:00", "breaker_max_probes": 5,
        "ordering_policy": "block", "bury_expired": true,
        "transform": "pg_catalog.jsonb_concat",
        "keep_bodies": true, "keep_attempts": "failures",
        "max_messages": null, "max_bytes": null, "overflow": "refuse", "signatures": []
    });
    assert_eq!(policy(&mut client, "full"), expected);
}

#[test]
fn change_of_a_queue_is_dated() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(&mut client, "select hooks.alter_queue('good', max_attempts => 3)");
    assert!(value::<bool>(
        &mut client,
        "select updated_at > created_at from hooks.queue"
    ));
}

#[test]
fn renamed_queue_is_known_by_its_new_name() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.pause('good');
         select hooks.send('good', 'x');
         select hooks.alter_queue('good', name => 'better');
         select hooks.send('better', 'y')",
    );
    let queues: i64 = value(&mut client, "select count(distinct queue_id) from hooks.message");
    assert_eq!(queues, 1);
}

#[test]
fn drop_queue_refuses_while_there_are_messages() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01')",
    );
    assert_refused(
        &mut client,
        "select hooks.drop_queue('good')",
        IN_USE,
        "queue \"good\" still has messages",
        "Wait until they are delivered, or call hooks.drop_queue() with cancel_messages => true.",
    );
}

#[test]
fn drop_queue_cancels_its_messages_when_told_to() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.create_queue('other', 'https://example.com/');
         select hooks.send('other', 'stays', at => '2100-01-01')",
    );
    let send = "select hooks.send_batch('good', array['x', 'y', 'z'], at => '2100-01-01')";
    let ids: Vec<i64> = column(&mut client, send);
    let cancelled: i64 = value(
        &mut client,
        "select hooks.drop_queue('good', cancel_messages => true)",
    );
    assert_eq!(cancelled, 3);
    let logged = "select id from hooks.message_log
                  where state = 'cancelled' and attempts = 0 and last_status is null
                    and finished_at >= created_at and due_at = '2100-01-01'
                  order by id";
    assert_eq!(column::<i64>(&mut client, logged), ids);
    let left: Vec<String> = column(&mut client, "select body from hooks.message");
    assert_eq!(left, ["stays"]);
    let queues: Vec<String> = column(&mut client, "select name from hooks.queue");
    assert_eq!(queues, ["other"]);
}

#[test]
fn drop_queue_without_messages_gives_the_name_free() {
    let database = database_with_queue();
    let mut client = database.connect();
    let cancelled: i64 = value(&mut client, "select hooks.drop_queue('good')");
    assert_eq!(cancelled, 0);
    run(
        &mut client,
        "select hooks.create_queue('good', 'https://example.com/')",
    );
}

#[test]
fn dead_letter_queue_in_use_is_not_dropped() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.create_queue('source', 'https://example.com/', dead_letter_queue => 'good')",
    );
    for cancel in ["false", "true"] {
        assert_refused(
            &mut client,
            &format!("select hooks.drop_queue('good', {cancel})"),
            IN_USE,
            "queue \"good\" is the dead-letter queue of \"source\"",
            "Give that queue another one with hooks.alter_queue() first.",
        );
    }
    run(
        &mut client,
        "select hooks.alter_queue('source', reset => '{dead_letter_queue}'); select hooks.drop_queue('good')",
    );
}

#[test]
fn paused_queue_keeps_its_messages_until_it_is_resumed() {
    let receiver = Receiver::start();
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        &format!(
            "select hooks.create_queue('paused', '{}');
             select hooks.create_queue('running', '{}');
             select hooks.pause('paused');
             select hooks.send('paused', 'kept');
             select hooks.send('running', 'sent')",
            receiver.url("/paused"),
            receiver.url("/running")
        ),
    );
    receiver.wait_for("/running", 1, SOON);
    assert!(receiver.requests("/paused").is_empty());
    let active = "select active from hooks.queue where name = 'paused'";
    assert!(!value::<bool>(&mut client, active));
    run(&mut client, "select hooks.resume('paused')");
    assert_eq!(receiver.wait_for("/paused", 1, SOON)[0].text(), "kept");
    assert!(value::<bool>(&mut client, active));
}

#[test]
fn queue_made_by_a_plain_insert_delivers() {
    let receiver = Receiver::start();
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        &format!(
            "insert into hooks.queue (name, url) values ('plain', '{}');
             select hooks.send('plain', 'x');
             update hooks.queue set url = '{}' where name = 'plain'",
            receiver.url("/never"),
            receiver.url("/plain"),
        ),
    );
    assert_eq!(receiver.wait_for("/plain", 1, SOON)[0].text(), "x");
    assert!(
        receiver.requests("/never").is_empty(),
        "all three were one transaction"
    );
}
