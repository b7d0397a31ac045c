//! CREATE EXTENSION in many databases: in fifty, or as many as the variable DATABASES says.

use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, extent, wait_until};
use postgres::error::SqlState;

use crate::rig::{Rig, SOON, database, deliver, leader, queue, wait_for_leader};
use crate::vitals::{launcher, logged, workers};

#[test]
fn each_of_many_databases_gets_its_worker_at_commit_and_delivers() {
    let count: usize = extent::of("DATABASES", 50);
    let rig = Rig::start();
    let names: Vec<String> = (1..=count).map(|number| format!("d{number}")).collect();
    for name in &names {
        rig.cluster.create_database(name);
    }
    for name in &names {
        let mut client = rig.cluster.connect(name);
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute("create extension pg_hooks").unwrap();
        transaction.commit().unwrap();
    }
    for name in &names {
        let mut client = rig.cluster.connect(name);
        wait_for_leader(&mut client);
        rig.queue(&mut client, name);
        deliver(&rig.receiver, &mut client, name, "hello");
    }
    assert_eq!(workers(&mut rig.cluster.connect("postgres")).len(), count);
    assert_eq!(rig.receiver.count(), count);
}

#[test]
fn rolled_back_create_extension_leaves_no_worker() {
    let cluster = Cluster::shared();
    cluster.create_database("rolled_back");
    let mut client = cluster.connect("rolled_back");
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute("create extension pg_hooks").unwrap();
    transaction.rollback().unwrap();
    // The launcher has looked around by the time it has served another database.
    database(cluster);
    // A worker may look into it, and leaves.
    never_within("a worker leads", Duration::from_millis(500), || {
        let log = cluster.log();
        let mut lines = log.lines().filter(|line| line.contains(" rolled_back: "));
        lines.any(|line| line.contains("leads in this database"))
    });
    wait_until("whoever looked into the database to leave", SOON, || {
        cluster.worker_pids("rolled_back").is_empty()
    });

    client.batch_execute("create extension pg_hooks").unwrap();
    wait_for_leader(&mut client);
    let receiver = Receiver::start();
    queue(&mut client, "q", &receiver.url("/q"));
    deliver(&receiver, &mut client, "q", "hello");
}

/// Nobody would be told of its commit.
#[test]
fn transaction_that_made_the_extension_is_not_prepared() {
    let cluster = Cluster::shared();
    cluster.create_database("not_prepared");
    let mut client = cluster.connect("not_prepared");
    let script = "begin; create extension pg_hooks; prepare transaction 'makes the extension'";
    let refused = client.batch_execute(script).unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&SqlState::FEATURE_NOT_SUPPORTED),
        "{refused:?}"
    );
    client.batch_execute("create extension pg_hooks").unwrap();
    wait_for_leader(&mut client);
    // What announces itself without making the extension is told of by the note of the PREPARE.
    for script in [
        "begin; truncate hooks.dead_letter; prepare transaction 'truncates'",
        "rollback prepared 'truncates'",
    ] {
        client.batch_execute(script).unwrap();
    }
}

#[test]
fn transaction_that_undid_the_extension_is_prepared() {
    let cluster = Cluster::shared();
    cluster.create_database("undone");
    let mut client = cluster.connect("undone");
    let script = "begin; savepoint a; savepoint b; create extension pg_hooks; release b; rollback to a;
                  create table t (); prepare transaction 'undoes the extension'";
    client.batch_execute(script).unwrap();
    client
        .batch_execute("rollback prepared 'undoes the extension'")
        .unwrap();
    // What is part of the transaction is not undone by another part of it.
    let script = "begin; savepoint a; create extension pg_hooks; release a; savepoint b; rollback to b;
                  prepare transaction 'makes the extension'";
    let refused = client.batch_execute(script).unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&SqlState::FEATURE_NOT_SUPPORTED),
        "{refused:?}"
    );
}

#[test]
fn new_launcher_finds_a_database_that_was_copied_from_a_template() {
    let rig = Rig::start();
    let mut postgres = rig.cluster.connect("postgres");
    postgres
        .batch_execute("create database model is_template true")
        .unwrap();
    rig.cluster
        .connect("model")
        .batch_execute("create extension pg_hooks")
        .unwrap();
    // A worker in the template would keep it from being copied.
    postgres
        .batch_execute("create database copy template model")
        .unwrap();
    let mut copy = rig.cluster.connect("copy");
    let old = wait_until("the launcher", SOON, || launcher(&mut postgres));
    assert!(signal(old, Signal::TERM));
    wait_until("a worker that waits to be told to send", SOON, || {
        let rows = copy.query("select from hooks.worker where state = 'held: copied'", &[]);
        !rows.unwrap().is_empty()
    });
    copy.batch_execute("select hooks.adopt()").unwrap();
    wait_for_leader(&mut copy);
    wait_until("one worker in the copy, and none in the template", SOON, || {
        workers(&mut postgres).len() == 1
    });
}

/// PostgreSQL marks a database so when DROP DATABASE was interrupted. Nobody can connect to it.
#[test]
fn database_that_cannot_be_connected_to_is_left_alone() {
    let rig = Rig::start();
    let mut postgres = rig.cluster.connect("postgres");
    postgres.batch_execute("create database half_dropped").unwrap();
    postgres
        .batch_execute("update pg_database set datconnlimit = -2 where datname = 'half_dropped'")
        .unwrap();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    deliver(&rig.receiver, &mut client, "q", "hello");
    never_within(
        "workers are started again and again",
        Duration::from_secs(2),
        || logged(&rig.cluster, "half_dropped") > 3,
    );
    assert!(leader(&mut client).is_some());
}

#[test]
fn lack_of_room_for_workers_is_logged_once_and_mended_by_an_end() {
    // The launcher, PostgreSQL's launcher of logical replication, and one worker.
    let rig = Rig::start_with(Cluster::builder().setting("max_worker_processes", "3"));
    let (served, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let refused = || logged(&rig.cluster, "max_worker_processes is used up");
    // While somebody looks whether the database postgres has the extension, there is no room either.
    let before = refused();
    let other = rig.cluster.create_hooks_database();
    let mut waiting = rig.cluster.connect(&other);
    wait_until("a line in the log", SOON, || refused() > before);
    never_within("it is logged again", Duration::from_millis(2500), || {
        refused() > before + 1
    });
    deliver(&rig.receiver, &mut client, "q", "hello");
    assert!(leader(&mut waiting).is_none());
    drop(client);
    rig.cluster
        .connect("postgres")
        .batch_execute(&format!("drop database {served} with (force)"))
        .unwrap();
    wait_for_leader(&mut waiting);
}
