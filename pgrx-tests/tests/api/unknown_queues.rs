//! Queues that do not exist.

use crate::database::{Database, run};
use crate::policies::database_with_queue;
use crate::refusal::{INVALID, UNKNOWN, assert_all_refused, assert_refused};

const CREATE_IT: &str = "Create it with hooks.create_queue().";

/// Every call that names a queue, for a queue given as SQL.
fn calls(queue: &str) -> Vec<String> {
    let calls = [
        "hooks.send({}, 'x')",
        "hooks.send({}, '{}'::jsonb)",
        "hooks.send({}, 'x'::bytea)",
        "hooks.send_batch({}, array['x', 'y'])",
        "hooks.send_batch({}, array['{}']::jsonb[])",
        "hooks.send_batch({}, array['x']::bytea[])",
        "hooks.send_batch({}, array[]::text[])",
        "hooks.send_batch({}, array[]::bytea[])",
        "hooks.alter_queue({}, max_attempts => 3)",
        "hooks.alter_queue({})",
        "hooks.drop_queue({})",
        "hooks.drop_queue({}, cancel_messages => true)",
        "hooks.pause({})",
        "hooks.resume({})",
    ];
    calls
        .map(|call| format!("select {}", call.replacen("{}", queue, 1)))
        .to_vec()
}

#[test]
fn unknown_queue_is_refused_by_every_function() {
    let database = database_with_queue();
    let message = "queue \"nowhere\" does not exist";
    assert_all_refused(
        &mut database.connect(),
        &calls("'nowhere'"),
        UNKNOWN,
        message,
        CREATE_IT,
    );
}

/// The planner reads a table that is known to be empty in another way.
#[test]
fn unknown_queue_is_refused_when_there_is_no_queue_at_all() {
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.create_queue('gone', 'https://example.com/'); select hooks.drop_queue('gone')",
    );
    run(&mut client, "vacuum analyze hooks.queue");
    let message = "queue \"nowhere\" does not exist";
    assert_all_refused(&mut client, &calls("'nowhere'"), UNKNOWN, message, CREATE_IT);
}

#[test]
fn null_is_no_queue() {
    let database = database_with_queue();
    assert_all_refused(
        &mut database.connect(),
        &calls("null"),
        INVALID,
        "queue must not be null",
        "Give the name of a queue.",
    );
}

#[test]
fn queue_names_are_compared_exactly() {
    let database = database_with_queue();
    for name in ["Good", "good ", " good", ""] {
        let message = format!("queue \"{name}\" does not exist");
        let send = format!("select hooks.send('{name}', 'x')");
        assert_refused(&mut database.connect(), &send, UNKNOWN, &message, CREATE_IT);
    }
}

#[test]
fn unknown_dead_letter_queue_is_refused() {
    let database = database_with_queue();
    let statements = [
        "select hooks.create_queue('bad', 'https://example.com/', dead_letter_queue => 'nowhere')",
        "select hooks.alter_queue('good', dead_letter_queue => 'nowhere')",
    ];
    let message = "queue \"nowhere\" does not exist";
    assert_all_refused(&mut database.connect(), &statements, UNKNOWN, message, CREATE_IT);
}

#[test]
fn plain_statement_with_an_unknown_queue_id_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01')",
    );
    let statements = [
        "insert into hooks.message (queue_id, body) values (999, 'x')",
        "update hooks.message set queue_id = 999",
    ];
    assert_all_refused(
        &mut client,
        &statements,
        UNKNOWN,
        "queue with id 999 does not exist",
        "Look for its id in hooks.queue.",
    );
    let statements = [
        "insert into hooks.message (body) values ('x')",
        "update hooks.message set queue_id = null",
    ];
    assert_all_refused(
        &mut client,
        &statements,
        INVALID,
        "queue_id must not be null",
        "Give the id of a row of hooks.queue.",
    );
}
