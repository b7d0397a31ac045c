//! Somebody sets the clock of the machine, while the server runs.

use std::time::{Duration, Instant};

use pg_hooks_tests::clock::Clock;
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, wait_until};

use crate::rig::{Rig, SOON, deliver, send, send_many, value, wait_for_delivered, wait_for_leader};
use crate::vitals::logged;

const HOUR: i64 = 3_600;

fn rig() -> (Rig, Clock) {
    let clock = Clock::start().expect("a clock");
    (Rig::start_with(clock.given_to(Cluster::builder())), clock)
}

#[test]
fn what_waits_for_a_lock_does_not_wait_longer_when_the_clock_is_set_back() {
    let (rig, clock) = rig();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.queue(&mut client, "other");
    rig.hang("q");
    let locked = send(&mut client, "q", "locked while in flight");
    rig.receiver.wait_for("/q", 1, SOON);
    let mut locker = rig.cluster.connect(&name);
    let mut transaction = locker.transaction().unwrap();
    let lock = "select from hooks.message where id = $1 for update";
    transaction.execute(lock, &[&locked]).unwrap();
    rig.receiver.release("/q");
    // Its result has been tried by then, and is put off.
    deliver(&rig.receiver, &mut client, "other", "once");
    wait_for_delivered(&mut client, 1);
    never_within("a locked row went", Duration::from_millis(300), || {
        value::<i64>(&mut client, "select count(*) from hooks.message") == 0
    });

    clock.turn(-HOUR).unwrap();
    transaction.commit().unwrap();
    wait_for_delivered(&mut client, 2);
}

#[test]
fn work_that_failed_is_taken_up_again_when_the_clock_is_set_back() {
    let (rig, clock) = rig();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    deliver(&rig.receiver, &mut client, "q", "before");
    let leading = wait_for_leader(&mut client);
    client
        .batch_execute("select hooks.send('q', 'due under lock', at => now() + interval '10 seconds')")
        .unwrap();
    let mut locker = rig.cluster.connect(&name);
    locker.batch_execute("begin; lock table hooks.message").unwrap();
    wait_until("the worker to rest", SOON, || {
        logged(&rig.cluster, "rests from delivering") > 0
    });
    clock.turn(-HOUR).unwrap();
    locker.batch_execute("commit").unwrap();
    deliver(&rig.receiver, &mut client, "q", "after");
    assert_eq!(wait_for_leader(&mut client), leading);
}

#[test]
fn clock_that_leaps_ahead_brings_what_is_due_by_then_and_no_burst() {
    let (rig, clock) = rig();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let limited = "select hooks.create_queue('limited', $1, rate_limit => 5)";
    client.execute(limited, &[&rig.receiver.url("/limited")]).unwrap();
    client
        .batch_execute("select hooks.send('q', 'later', at => now() + interval '30 minutes')")
        .unwrap();
    send_many(&mut client, "limited", 60);
    rig.receiver.wait_for("/limited", 10, SOON);

    clock.turn(HOUR).unwrap();
    let leapt = Instant::now();
    let before = rig.receiver.requests("/limited").len();
    deliver(&rig.receiver, &mut client, "q", "now");
    rig.receiver.wait_for("/q", 2, SOON);
    rig.receiver.wait_for("/limited", before + 20, SOON);
    // Five of them may go at once, and five in each second.
    let took = leapt.elapsed();
    assert!(took > Duration::from_secs(2), "{took:?}");
}

#[test]
fn release_lasts_no_longer_when_the_clock_is_set_back_far() {
    let (rig, clock) = rig();
    let (_, mut client) = rig.database();
    client.batch_execute("select hooks.release('5 seconds')").unwrap();
    clock.turn(-HOUR).unwrap();
    wait_for_leader(&mut client);
}
