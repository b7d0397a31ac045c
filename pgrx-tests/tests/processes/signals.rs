//! Signals from people: terminate, cancel, stop and go on.

use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::stop_at_rest;
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::Client;

use crate::rig::{
    Rig, SOON, arrived, database, deliver, earn_slots, leader, queue, send, send_many, wait_for_delivered,
    wait_for_follower, wait_for_leader, wait_for_successor,
};
use crate::vitals::{launcher, workers};

/// Less than the timeout of a request that hangs.
const PROMPTLY: Duration = Duration::from_secs(12);

fn terminate(client: &mut Client, pid: i32) {
    let query = "select pg_terminate_backend($1)";
    assert!(client.query_one(query, &[&pid]).unwrap().get::<_, bool>(0));
}

#[test]
fn terminated_worker_is_back_within_seconds() {
    let cluster = Cluster::shared();
    let receiver = Receiver::start();
    let (_, mut client) = database(cluster);
    queue(&mut client, "q", &receiver.url("/q"));
    for round in 1..=3 {
        let leading = wait_for_leader(&mut client);
        let begun = Instant::now();
        terminate(&mut client, leading);
        deliver(&receiver, &mut client, "q", "hello");
        let took = begun.elapsed();
        assert!(took < PROMPTLY, "{took:?}");
        wait_for_delivered(&mut client, round);
        assert_ne!(wait_for_leader(&mut client), leading);
    }
    assert_eq!(arrived(&receiver, "q"), [1, 2, 3]);
}

#[test]
fn worker_that_is_terminated_while_requests_hang_is_back_soon() {
    let cluster = Cluster::shared();
    let receiver = Receiver::start();
    let (_, mut client) = database(cluster);
    queue(&mut client, "q", &receiver.url("/q"));
    queue(&mut client, "hung", &receiver.url("/hung"));
    earn_slots(&receiver, &mut client, "hung", 64);
    receiver.on("/hung", pg_hooks_tests::Behaviour::Hang);
    send_many(&mut client, "hung", 64);
    receiver.wait_for("/hung", 64, SOON);
    let leading = wait_for_leader(&mut client);
    let begun = Instant::now();
    terminate(&mut client, leading);
    wait_for_successor(&mut client, leading);
    deliver(&receiver, &mut client, "q", "hello");
    let took = begun.elapsed();
    println!("back after {took:?} with 64 hanging requests");
    assert!(took < PROMPTLY, "{took:?}");
}

/// What runs is cancelled; what the I/O threads have finished meanwhile is recorded.
#[test]
fn worker_that_is_terminated_within_a_long_statement_ends_at_once_and_records_what_came() {
    let rig = Rig::start();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let leading = wait_for_leader(&mut client);
    rig.hang("q");
    send(&mut client, "q", "accepted while the leader is busy");
    rig.receiver.wait_for("/q", 1, SOON);
    client
        .batch_execute(
            "create or replace function hooks.owner_problem(owner oid, owner_name text, queue_id bigint)
             returns text language plpgsql stable as $$ begin perform pg_catalog.pg_sleep(60); return null; end $$;
             select hooks.schedule('long', 'q', '@yearly');
             update hooks.cron set next_run_at = now()",
        )
        .unwrap();
    wait_until("the leader to be busy", SOON, || {
        let busy = "select exists (select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep')";
        client.query_one(busy, &[&leading]).unwrap().get::<_, bool>(0)
    });
    rig.receiver.release("/q");
    let begun = Instant::now();
    terminate(&mut client, leading);
    wait_for_successor(&mut client, leading);
    let took = begun.elapsed();
    assert!(took < PROMPTLY, "{took:?}");
    wait_for_delivered(&mut client, 1);
    assert_eq!(arrived(&rig.receiver, "q").len(), 1, "it was recorded");
}

/// Workers may look into a database that the launcher does not know yet, and leave again.
fn wait_for_workers(client: &mut Client, count: usize) -> Vec<i32> {
    wait_until(format_args!("{count} workers"), SOON, || {
        let found = workers(client);
        if found.len() == count {
            Ok(found)
        } else {
            Err(format!("{found:?}"))
        }
    })
}

#[test]
fn terminated_launcher_is_back_and_starts_no_worker_twice() {
    let rig = Rig::start();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let before = wait_for_workers(&mut client, 1);
    let old = launcher(&mut client).unwrap();
    terminate(&mut client, old);
    deliver(&rig.receiver, &mut client, "q", "without a launcher");
    wait_until("another launcher", SOON, || {
        launcher(&mut client).filter(|pid| *pid != old)
    });
    let (_, mut other) = rig.database();
    assert!(leader(&mut other).is_some());
    let after = wait_for_workers(&mut client, 2);
    assert!(
        before.iter().all(|pid| after.contains(pid)),
        "{before:?} {after:?}"
    );

    terminate(&mut client, before[0]);
    wait_for_successor(&mut client, before[0]);
    deliver(&rig.receiver, &mut client, "q", "started by the new launcher");
}

#[test]
fn cancellation_stops_nobody() {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.workers", "2"));
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let launching = launcher(&mut client).unwrap();
    let leading = wait_for_leader(&mut client);
    let following = wait_for_follower(&mut client);
    for round in 0..20 {
        send_many(&mut client, "q", 20);
        for pid in [leading, following, launching] {
            let cancelled = client.query_one("select pg_cancel_backend($1)", &[&pid]).unwrap();
            assert!(cancelled.get::<_, bool>(0), "round {round}: {pid} is gone");
        }
    }
    wait_for_delivered(&mut client, 400);
    deliver(&rig.receiver, &mut client, "q", "after all of it");
    assert_eq!(arrived(&rig.receiver, "q").len(), 401, "each once");
    assert_eq!(wait_for_leader(&mut client), leading);
    assert_eq!(wait_for_follower(&mut client), following);
    assert_eq!(launcher(&mut client), Some(launching));
}

#[test]
fn stopped_worker_goes_on_where_it_was() {
    // Others would wait for a stopped process: CREATE and DROP DATABASE do.
    let rig = Rig::start();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    deliver(&rig.receiver, &mut client, "q", "before");
    wait_for_delivered(&mut client, 1);
    let leading = wait_for_leader(&mut client);
    let stopped = stop_at_rest(&mut client, leading);
    send(&mut client, "q", "meanwhile");
    never_within("a stopped worker sent", Duration::from_secs(2), || {
        rig.receiver.count() > 1
    });
    drop(stopped);
    rig.receiver.wait_for("/q", 2, SOON);
    wait_for_delivered(&mut client, 2);
    assert_eq!(arrived(&rig.receiver, "q"), [1, 2]);
    assert_eq!(leader(&mut client), Some(leading));
}
