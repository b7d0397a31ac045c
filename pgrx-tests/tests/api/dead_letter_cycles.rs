//! Dead-letter queues whose dead letters would come back.

use std::thread;

use pg_hooks_tests::wait_until;

use crate::database::{Database, SOON, run, value};
use crate::refusal::{INVALID, assert_all_refused, assert_refused};

const MESSAGE: &str = "dead-letter queues must not form a cycle";
const HINT: &str = "Name a dead-letter queue whose own dead letters do not come back to this queue.";

/// A database with the queues a, b and c, where the dead letters of b go to c.
fn database() -> Database {
    let database = Database::new();
    run(
        &mut database.connect(),
        "select hooks.create_queue('a', 'https://example.com/a');
         select hooks.create_queue('c', 'https://example.com/c');
         select hooks.create_queue('b', 'https://example.com/b', dead_letter_queue => 'c')",
    );
    database
}

/// Both ways to make the dead letters of one queue go to another.
fn ways(from: &str, to: &str) -> [String; 2] {
    [
        format!("select hooks.alter_queue('{from}', dead_letter_queue => '{to}')"),
        format!(
            "update hooks.queue set dead_letter_queue_id = (select id from hooks.queue where name = '{to}')
             where name = '{from}'"
        ),
    ]
}

#[test]
fn queue_cannot_be_its_own_dead_letter_queue() {
    let database = database();
    let mut client = database.connect();
    assert_all_refused(&mut client, &ways("a", "a"), INVALID, MESSAGE, HINT);
    let insert = "insert into hooks.queue (id, name, url, dead_letter_queue_id)
                  values (99, 'd', 'https://example.com/', 99)";
    assert_refused(&mut client, insert, INVALID, MESSAGE, HINT);
}

#[test]
fn two_queues_cannot_be_dead_letter_queues_of_each_other() {
    let database = database();
    assert_all_refused(&mut database.connect(), &ways("c", "b"), INVALID, MESSAGE, HINT);
}

#[test]
fn three_queues_cannot_pass_dead_letters_in_a_circle() {
    let database = database();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.alter_queue('a', dead_letter_queue => 'b')",
    );
    assert_all_refused(&mut client, &ways("c", "a"), INVALID, MESSAGE, HINT);
}

#[test]
fn chain_of_dead_letter_queues_without_a_cycle_is_fine() {
    let database = database();
    let mut client = database.connect();
    for way in ways("a", "b") {
        run(&mut client, &way);
    }
    let create = "select hooks.create_queue('d', 'https://example.com/', dead_letter_queue => 'b')";
    run(&mut client, create);
    let feeding_b: i64 = value(
        &mut client,
        "select count(*) from hooks.queue as q join hooks.queue as b on b.id = q.dead_letter_queue_id
         where b.name = 'b'",
    );
    assert_eq!(feeding_b, 2);
}

#[test]
fn two_transactions_cannot_make_one_half_of_a_cycle_each() {
    let database = database();
    let (mut first, mut second, mut watch) = (database.connect(), database.connect(), database.connect());
    let pid: i32 = value(&mut second, "select pg_backend_pid()");
    run(
        &mut first,
        "begin; select hooks.alter_queue('a', dead_letter_queue => 'b')",
    );
    let refused = thread::scope(|scope| {
        // Gone with the closure, also when that fails, and its locks with it.
        let mut first = first;
        let close_circle = || second.batch_execute("select hooks.alter_queue('c', dead_letter_queue => 'a')");
        let refused = scope.spawn(close_circle);
        let waits = format!("select wait_event_type = 'Lock' from pg_stat_activity where pid = {pid}");
        wait_until("the second transaction to wait for the first", SOON, || {
            value::<Option<bool>>(&mut watch, &waits) == Some(true)
        });
        run(&mut first, "commit");
        refused.join().expect("the second transaction panicked")
    });
    let error = refused.expect_err("the circle was closed");
    assert_eq!(error.as_db_error().map(|error| error.message()), Some(MESSAGE));
}

#[test]
fn queues_with_one_dead_letter_queue_are_made_at_the_same_time() {
    let database = database();
    let (mut first, mut second) = (database.connect(), database.connect());
    for client in [&mut first, &mut second] {
        run(client, "set lock_timeout = '10s'; begin");
    }
    let create = |name: &str| {
        format!("select hooks.create_queue('{name}', 'https://example.com/', dead_letter_queue => 'c')")
    };
    run(&mut first, &create("d"));
    run(&mut second, &create("e"));
    run(&mut first, "select hooks.pause('d'); commit");
    run(&mut second, "select hooks.pause('e'); commit");
}

#[test]
fn queues_with_dead_letter_queues_are_paused_at_the_same_time() {
    let database = database();
    let (mut first, mut second) = (database.connect(), database.connect());
    run(
        &mut first,
        "select hooks.alter_queue('a', dead_letter_queue => 'c')",
    );
    for client in [&mut first, &mut second] {
        run(client, "set lock_timeout = '10s'; begin");
    }
    run(&mut first, "select hooks.pause('a')");
    run(&mut second, "select hooks.pause('b')");
    run(&mut first, "commit");
    run(&mut second, "commit");
}
