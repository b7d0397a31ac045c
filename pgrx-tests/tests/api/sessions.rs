//! What a client that stays connected knows of queues that others change.

use postgres::Client;

use crate::database::{Database, SOON, run, value};
use crate::refusal::{UNKNOWN, assert_refused};

/// A database whose queues send nothing: what is stored stays.
fn database() -> Database {
    let database = Database::new();
    run(
        &mut database.connect(),
        "select hooks.create_queue('a', 'https://example.com/', active => false);
         select hooks.create_queue('b', 'https://example.com/', active => false)",
    );
    database
}

/// Sends twice, so that the second call may use what the first has learned.
#[track_caller]
fn send_twice(client: &mut Client, queue: &str) {
    for _ in 0..2 {
        run(client, &format!("select hooks.send('{queue}', 'x')"));
    }
}

#[track_caller]
fn assert_unknown(client: &mut Client, queue: &str) {
    assert_refused(
        client,
        &format!("select hooks.send('{queue}', 'x')"),
        UNKNOWN,
        &format!("queue \"{queue}\" does not exist"),
        "Create it with hooks.create_queue().",
    );
}

/// Name of the queue that the newest message is for.
fn newest(client: &mut Client) -> String {
    value(
        client,
        "select q.name from hooks.message as m join hooks.queue as q on q.id = m.queue_id
         order by m.id desc limit 1",
    )
}

#[test]
fn queue_renamed_by_another_client_is_seen_by_the_next_send() {
    let database = database();
    let (mut client, mut other) = (database.connect(), database.connect());
    send_twice(&mut client, "a");
    run(&mut other, "select hooks.alter_queue('a', name => 'c')");
    assert_unknown(&mut client, "a");
    send_twice(&mut client, "c");
}

#[test]
fn name_that_passed_to_another_queue_is_that_queue() {
    let database = database();
    let (mut client, mut other) = (database.connect(), database.connect());
    send_twice(&mut client, "a");
    run(
        &mut other,
        "begin;
         update hooks.queue set name = 'old' where name = 'a';
         update hooks.queue set name = 'a' where name = 'b';
         commit",
    );
    let expected: i64 = value(&mut other, "select id from hooks.queue where name = 'a'");
    send_twice(&mut client, "a");
    let queue_id: i64 = value(
        &mut other,
        "select queue_id from hooks.message order by id desc limit 1",
    );
    assert_eq!(queue_id, expected);
}

#[test]
fn queue_dropped_by_another_client_is_seen_by_the_next_send() {
    let database = database();
    let (mut client, mut other) = (database.connect(), database.connect());
    send_twice(&mut client, "a");
    let id: i64 = value(&mut other, "select id from hooks.queue where name = 'a'");
    run(
        &mut other,
        "select hooks.drop_queue('a', cancel_messages => true)",
    );
    assert_unknown(&mut client, "a");
    assert_refused(
        &mut client,
        &format!("insert into hooks.message (queue_id, body) values ({id}, 'x')"),
        UNKNOWN,
        &format!("queue with id {id} does not exist"),
        "Look for its id in hooks.queue.",
    );
}

#[test]
fn queue_deleted_by_a_plain_statement_is_seen_by_the_next_send() {
    let database = database();
    let (mut client, mut other) = (database.connect(), database.connect());
    send_twice(&mut client, "a");
    run(
        &mut other,
        "delete from hooks.message; delete from hooks.queue where name = 'a'",
    );
    assert_unknown(&mut client, "a");
}

#[test]
fn queue_made_by_another_client_is_seen_by_the_next_send() {
    let database = database();
    let (mut client, mut other) = (database.connect(), database.connect());
    assert_unknown(&mut client, "c");
    run(
        &mut other,
        "select hooks.create_queue('c', 'https://example.com/', active => false)",
    );
    send_twice(&mut client, "c");
    assert_eq!(newest(&mut client), "c");
}

#[test]
fn queue_of_a_transaction_that_is_not_finished_is_seen_by_it_alone() {
    let database = database();
    let (mut client, mut other) = (database.connect(), database.connect());
    run(
        &mut other,
        "begin; select hooks.create_queue('c', 'https://example.com/', active => false)",
    );
    send_twice(&mut other, "c");
    assert_unknown(&mut client, "c");
    run(&mut other, "commit");
    send_twice(&mut client, "c");
}

#[test]
fn queue_that_was_rolled_back_is_unknown_to_the_client_that_made_it() {
    let database = database();
    let mut client = database.connect();
    run(
        &mut client,
        "begin; select hooks.create_queue('c', 'https://example.com/', active => false)",
    );
    send_twice(&mut client, "c");
    run(&mut client, "rollback");
    assert_unknown(&mut client, "c");
}

#[test]
fn queue_that_was_rolled_back_to_a_savepoint_is_unknown() {
    let database = database();
    let mut client = database.connect();
    run(
        &mut client,
        "begin;
         savepoint before;
         select hooks.create_queue('c', 'https://example.com/', active => false)",
    );
    send_twice(&mut client, "c");
    run(&mut client, "rollback to before");
    let error = client.batch_execute("savepoint again; select hooks.send('c', 'x')");
    let error = error.expect_err("a queue that was rolled back took a message");
    assert_eq!(error.code().map(|code| code.code()), Some(UNKNOWN));
    run(&mut client, "rollback to again; commit");
    assert_unknown(&mut client, "c");
}

#[test]
fn rename_that_was_rolled_back_leaves_the_old_name() {
    let database = database();
    let mut client = database.connect();
    send_twice(&mut client, "a");
    run(
        &mut client,
        "begin; savepoint before; select hooks.alter_queue('a', name => 'c')",
    );
    send_twice(&mut client, "c");
    run(&mut client, "rollback to before");
    send_twice(&mut client, "a");
    run(&mut client, "commit");
    send_twice(&mut client, "a");
    assert_unknown(&mut client, "c");
}

/// Nothing tells of the commit of a prepared transaction: the leader looks for it.
#[test]
fn queue_renamed_by_a_prepared_transaction_is_soon_seen() {
    let database = database();
    let (mut client, mut other) = (database.connect(), database.connect());
    pg_hooks_tests::wait_until("a leader", SOON, || {
        value::<i64>(&mut client, "select count(*) from hooks.worker where leader") == 1
    });
    send_twice(&mut client, "a");
    let prepared = format!("'rename in {}'", database.name());
    run(
        &mut other,
        &format!("begin; select hooks.alter_queue('a', name => 'c'); prepare transaction {prepared}"),
    );
    send_twice(&mut client, "a");
    run(&mut other, &format!("commit prepared {prepared}"));
    pg_hooks_tests::wait_until("the old name to be unknown", SOON, || {
        client.batch_execute("select hooks.send('a', 'x')").is_err()
    });
    assert_unknown(&mut client, "a");
    send_twice(&mut client, "c");
}

/// Such a transaction sees the world as it was, queues included; the next one does not.
#[test]
fn transaction_with_an_old_snapshot_sees_the_queues_of_its_snapshot() {
    for level in ["repeatable read", "serializable"] {
        let database = database();
        let (mut client, mut other) = (database.connect(), database.connect());
        send_twice(&mut client, "a");
        run(
            &mut client,
            &format!("begin isolation level {level}; select count(*) from hooks.queue"),
        );
        run(&mut other, "select hooks.alter_queue('a', name => 'c')");
        send_twice(&mut client, "a");
        run(&mut client, "commit");
        assert_unknown(&mut client, "a");
        send_twice(&mut client, "c");
    }
}
