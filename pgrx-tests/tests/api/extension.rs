//! Creating and dropping the extension.

use std::thread;

use pg_hooks_tests::{Behaviour, Cluster, Receiver, wait_until};

use crate::database::{Database, SOON, run, value};
use crate::refusal::{UNKNOWN, assert_refused};

#[test]
fn extension_that_is_dropped_and_created_again_delivers() {
    let receiver = Receiver::start();
    let database = Database::new();
    let mut client = database.connect();
    for round in ["/first", "/second", "/third"] {
        run(
            &mut client,
            &format!(
                "select hooks.create_queue('orders', '{}'); select hooks.send('orders', '{round}')",
                receiver.url(round)
            ),
        );
        assert_eq!(receiver.wait_for(round, 1, SOON)[0].text(), round);
        wait_until("it to be recorded", SOON, || {
            value::<i64>(&mut client, "select count(*) from hooks.message_log") == 1
        });
        run(&mut client, "drop extension pg_hooks; create extension pg_hooks");
    }
    assert_eq!(receiver.count(), 3);
}

#[test]
fn dropped_extension_leaves_nothing_in_the_database() {
    let database = Database::new();
    let mut client = database.connect();
    run(&mut client, "drop extension pg_hooks");
    let schemas: i64 = value(
        &mut client,
        "select count(*) from pg_namespace where nspname = 'hooks'",
    );
    assert_eq!(schemas, 0);
}

/// Ids begin anew: what a client remembers of the old extension would name other queues.
#[test]
fn client_forgets_the_queues_of_an_extension_that_was_dropped() {
    let database = Database::new();
    let (mut client, mut other) = (database.connect(), database.connect());
    run(
        &mut client,
        "select hooks.create_queue('old', 'https://example.com/')",
    );
    run(&mut client, "select hooks.send('old', 'x', at => '2100-01-01')");
    run(
        &mut other,
        "begin; drop extension pg_hooks; create extension pg_hooks; commit",
    );
    assert_refused(
        &mut client,
        "select hooks.send('old', 'z')",
        UNKNOWN,
        "queue \"old\" does not exist",
        "Create it with hooks.create_queue().",
    );
    assert_refused(
        &mut client,
        "insert into hooks.message (queue_id, body) values (1, 'z')",
        UNKNOWN,
        "queue with id 1 does not exist",
        "Look for its id in hooks.queue.",
    );
}

/// Ids begin anew: an answer that comes late belongs to a message that is no more.
#[test]
fn late_answer_to_a_message_of_a_dropped_extension_finishes_no_new_message() {
    let receiver = Receiver::start();
    receiver.on("/old", Behaviour::Hang);
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        &format!(
            "select hooks.create_queue('old', '{}'); select hooks.send('old', 'old')",
            receiver.url("/old")
        ),
    );
    let old = receiver.wait_for("/old", 1, SOON)[0].message_id();
    run(
        &mut client,
        &format!(
            "begin;
             drop extension pg_hooks;
             create extension pg_hooks;
             select hooks.create_queue('new', '{}', active => false);
             select hooks.send('new', 'new');
             commit",
            receiver.url("/new")
        ),
    );
    receiver.release("/old");
    wait_until("the late answer to be taken", SOON, || {
        let idle = "select count(*) from hooks.worker where leader and in_flight = 0";
        value::<i64>(&mut client, idle) == 1
    });
    run(&mut client, "select hooks.resume('new')");
    let new = &receiver.wait_for("/new", 1, SOON)[0];
    assert_eq!((new.message_id(), new.text()), (old, "new"));
}

#[test]
fn schema_that_somebody_else_made_is_not_taken_over() {
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        "drop extension pg_hooks; create schema hooks; create table hooks.queue (id bigint)",
    );
    let error = client
        .batch_execute("create extension pg_hooks")
        .expect_err("it took the schema over");
    let error = error.as_db_error().expect("the server answers");
    assert_eq!(
        (error.code().code(), error.message()),
        ("42P06", "schema \"hooks\" already exists")
    );
    let left: Vec<String> = crate::database::column(
        &mut client,
        "select relname::text from pg_class where relnamespace = 'hooks'::regnamespace",
    );
    assert_eq!(left, ["queue"]);
    run(
        &mut client,
        "drop schema hooks cascade; create extension pg_hooks",
    );
}

/// The first of them creates the roles, which all databases share.
#[test]
fn extension_is_created_in_many_databases_at_once() {
    let cluster = Cluster::builder().start();
    let names: Vec<String> = (1..=8).map(|number| format!("database_{number}")).collect();
    for name in &names {
        cluster.create_database(name);
    }
    let mut clients: Vec<_> = names.iter().map(|name| cluster.connect(name)).collect();
    for _ in 0..3 {
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| run(client, "create extension pg_hooks"));
            }
        });
        for client in &mut clients {
            run(client, "drop extension pg_hooks");
        }
        let drop_roles = "drop role hooks_admin, hooks_sender, hooks_reader";
        run(&mut cluster.connect("postgres"), drop_roles);
    }
}
