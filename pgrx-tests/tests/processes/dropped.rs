//! DROP EXTENSION and DROP DATABASE.

use std::time::{Duration, Instant};

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::error::SqlState;

use crate::rig::{
    Rig, SOON, arrived, database, deliver, earn_slots, leader, queue, send, send_many, value,
    wait_for_delivered, wait_for_leader,
};
use crate::vitals::logged;

/// Less than the timeout of a request that hangs.
const PROMPTLY: Duration = Duration::from_secs(12);
/// PostgreSQL waits 5 s for other sessions to leave before it refuses to drop their database; the rest is for a
/// busy machine, here as below.
const REFUSED: Duration = Duration::from_secs(15);
/// With FORCE it waits as long for those that it has ended.
const FORCED: Duration = Duration::from_secs(15);

#[test]
fn dropped_extension_ends_its_worker_and_a_new_one_delivers() {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.rescan_interval", "200ms"));
    let (name, mut client) = rig.database();
    for round in 1..=3 {
        rig.queue(&mut client, "q");
        rig.queue(&mut client, "hung");
        rig.hang("hung");
        deliver(&rig.receiver, &mut client, "q", &format!("round {round}"));
        let hung = send(&mut client, "hung", "never answered");
        rig.receiver.wait_for("/hung", round, SOON);
        assert_eq!(hung, 2, "ids begin anew");
        client.batch_execute("drop extension pg_hooks").unwrap();
        wait_until("the worker to end", PROMPTLY, || {
            rig.cluster.worker_pids(&name).is_empty()
        });
        client.batch_execute("create extension pg_hooks").unwrap();
        wait_for_leader(&mut client);
    }
    assert_eq!(arrived(&rig.receiver, "q"), [1, 1, 1]);
    let keys = rig.receiver.requests("/q");
    assert_ne!(
        keys[0].webhook_id(),
        keys[1].webhook_id(),
        "ids are unique in the world"
    );
}

#[test]
fn worker_ends_when_it_cannot_record_a_result_because_the_extension_is_gone() {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.hang("q");
    send(&mut client, "q", "answered after the drop");
    rig.receiver.wait_for("/q", 1, SOON);
    client.batch_execute("drop extension pg_hooks").unwrap();
    rig.receiver.release("/q");
    wait_until("the worker to end", PROMPTLY, || {
        logged(&rig.cluster, "the extension was dropped") > 0
    });
    // Another one may look once whether there is an extension, and be about to leave.
    never_within("a worker leads", Duration::from_millis(500), || {
        logged(&rig.cluster, "leads in this database") > 1
    });
    wait_until("nobody to be there", SOON, || {
        rig.cluster.worker_pids(&name).is_empty()
    });
}

/// The ids begin anew: message 1 of the new extension is not message 1 of the old one, which still hangs.
#[test]
fn extension_made_anew_is_not_taken_for_the_old_one() {
    let rig = Rig::start();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "old");
    rig.hang("old");
    let old = send(&mut client, "old", "of the old extension");
    rig.receiver.wait_for("/old", 1, SOON);

    client
        .batch_execute("begin; drop extension pg_hooks; create extension pg_hooks; commit")
        .unwrap();
    rig.queue(&mut client, "new");
    let new = send(&mut client, "new", "of the new extension");
    assert_eq!(old, new);
    rig.receiver.release("/old");
    let requests = rig.receiver.wait_for("/new", 1, SOON);
    assert_eq!(requests[0].text(), "of the new extension");
    wait_for_delivered(&mut client, 1);
    let attempts: i64 = value(&mut client, "select count(*) from hooks.attempt");
    assert_eq!(attempts, 1, "the old one left no trace");
}

#[test]
fn drop_of_another_database_does_not_wait_for_hanging_receivers() {
    let cluster = Cluster::shared();
    let receiver = Receiver::start();
    let (_, mut client) = database(cluster);
    queue(&mut client, "q", &receiver.url("/q"));
    earn_slots(&receiver, &mut client, "q", 64);
    receiver.on("/q", pg_hooks_tests::Behaviour::Hang);
    send_many(&mut client, "q", 64);
    receiver.wait_for("/q", 64, SOON);
    let mut other = cluster.connect("postgres");
    other.batch_execute("create database short_lived").unwrap();
    let begun = Instant::now();
    other.batch_execute("drop database short_lived").unwrap();
    assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());
}

#[test]
fn drop_of_a_served_database_is_refused_and_with_force_succeeds() {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    deliver(&rig.receiver, &mut client, "q", "before");
    let mut postgres = rig.cluster.connect("postgres");

    drop(client);
    let begun = Instant::now();
    let refused = postgres
        .batch_execute(&format!("drop database {name}"))
        .unwrap_err();
    let took_refused = begun.elapsed();
    assert!(took_refused < REFUSED, "{took_refused:?}");
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code(), &SqlState::OBJECT_IN_USE, "{refused:?}");
    let clear = format!("database \"{name}\" is being accessed by other users");
    assert_eq!(refused.message(), clear);
    let sessions = "There is 1 other session using the database.";
    assert_eq!(refused.detail(), Some(sessions), "the worker");
    let mut client = rig.cluster.connect(&name);
    deliver(&rig.receiver, &mut client, "q", "between");
    rig.earn_slots(&mut client, "q", 64);
    rig.hang("q");
    send_many(&mut client, "q", 64);
    rig.receiver.wait_for("/q", 64, SOON);

    let begun = Instant::now();
    postgres
        .batch_execute(&format!("drop database {name} with (force)"))
        .unwrap();
    let took = begun.elapsed();
    assert!(took < FORCED, "{took:?}");
    println!("refused after {took_refused:?}, forced after {took:?}");
    never_within(
        "workers are started again and again",
        Duration::from_secs(2),
        || logged(&rig.cluster, "FATAL:  database") > 2,
    );
    let (_, mut other) = rig.database();
    assert!(leader(&mut other).is_some(), "other databases are served");
}
