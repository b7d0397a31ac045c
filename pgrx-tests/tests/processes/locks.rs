//! Locks that users hold.

use std::time::Duration;

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, wait_until};

use crate::rig::{SOON, arrived, database, deliver, queue, send, value, wait_for_delivered, wait_for_leader};

#[test]
fn worker_outlives_an_exclusive_lock_on_its_table() {
    let cluster = Cluster::shared();
    let receiver = Receiver::start();
    let (name, mut client) = database(cluster);
    queue(&mut client, "q", &receiver.url("/q"));
    deliver(&receiver, &mut client, "q", "before");
    let leading = wait_for_leader(&mut client);
    let mut locker = cluster.connect(&name);
    let mut transaction = locker.transaction().unwrap();
    transaction
        .batch_execute("lock table hooks.message in access exclusive mode")
        .unwrap();
    transaction
        .batch_execute("select hooks.send('q', 'under lock')")
        .unwrap();
    never_within("something was sent", Duration::from_secs(3), || {
        receiver.count() > 1
    });
    transaction.commit().unwrap();
    receiver.wait_for("/q", 2, SOON);
    wait_for_delivered(&mut client, 2);
    assert_eq!(arrived(&receiver, "q"), [1, 2]);
    assert_eq!(wait_for_leader(&mut client), leading);
}

#[test]
fn row_that_a_user_locks_holds_back_no_other_and_is_recorded_later() {
    let cluster = Cluster::shared();
    let receiver = Receiver::start();
    receiver.on("/q", pg_hooks_tests::Behaviour::Hang);
    let (name, mut client) = database(cluster);
    queue(&mut client, "q", &receiver.url("/q"));
    queue(&mut client, "other", &receiver.url("/other"));
    let locked = send(&mut client, "q", "locked while in flight");
    receiver.wait_for("/q", 1, SOON);
    let mut locker = cluster.connect(&name);
    let mut transaction = locker.transaction().unwrap();
    let lock = "select from hooks.message where id = $1 for update";
    transaction.execute(lock, &[&locked]).unwrap();
    receiver.release("/q");

    for round in 0..20 {
        send(&mut client, "other", &format!("round {round}"));
    }
    receiver.wait_for("/other", 20, SOON);
    wait_until("the others to be recorded", SOON, || {
        let delivered: i64 = value(&mut client, "select count(*) from hooks.message_log");
        if delivered == 20 { Ok(()) } else { Err(delivered) }
    });
    transaction.commit().unwrap();
    wait_for_delivered(&mut client, 21);
    assert_eq!(arrived(&receiver, "q"), [locked], "sent once");
    assert_eq!(
        value::<i64>(&mut client, "select count(*) from hooks.attempt"),
        21,
        "recorded once"
    );
}
