//! Two workers: one leads, the other takes over.

use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

use crate::rig::{
    Rig, SOON, arrived, deliver, leader, send, send_many, value, wait_for_delivered, wait_for_follower,
    wait_for_leader, wait_for_successor,
};

fn two_workers() -> Rig {
    Rig::start_with(Cluster::builder().setting("hooks.workers", "2"))
}

fn terminate(pid: i32) {
    assert!(signal(pid, Signal::TERM), "no process {pid}");
}

#[test]
fn one_leads_and_the_other_waits_without_a_transaction() {
    let rig = two_workers();
    let (_, mut client) = rig.database();
    let leading = wait_for_leader(&mut client);
    let following = wait_for_follower(&mut client);
    assert_ne!(leading, following);
    let query = "select count(*) filter (where leader), count(*) from hooks.worker";
    let row = client.query_one(query, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 2));
    let query = "select xact_start is null and backend_xmin is null and backend_xid is null and state = 'idle' \
                 from pg_stat_activity where pid = $1";
    wait_until("the follower to hold nothing back", SOON, || {
        client.query_one(query, &[&following]).unwrap().get::<_, bool>(0)
    });
}

#[test]
fn whenever_the_leader_is_terminated_the_other_delivers_at_once() {
    let rig = two_workers();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let mut sent = vec![send(&mut client, "q", "before any election")];
    for round in 1..=5 {
        let following = wait_for_follower(&mut client);
        let leading = wait_for_leader(&mut client);
        sent.push(send(&mut client, "q", "stored while another leads"));
        let begun = Instant::now();
        terminate(leading);
        sent.push(send(&mut client, "q", "stored during an election"));
        rig.receiver.wait_for("/q", sent.len(), SOON);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(12), "round {round}: {took:?}");
        assert_eq!(wait_for_successor(&mut client, leading), following);
    }
    wait_for_follower(&mut client);
    sent.push(send(&mut client, "q", "after all elections"));
    wait_for_delivered(&mut client, i64::try_from(sent.len()).unwrap());
    let mut arrived = arrived(&rig.receiver, "q");
    arrived.sort_unstable();
    assert_eq!(arrived, sent, "each once");
}

#[test]
fn leader_with_hanging_requests_is_succeeded_soon() {
    let rig = two_workers();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "hung");
    rig.queue(&mut client, "q");
    rig.hang("hung");
    let mut hung = send_many(&mut client, "hung", 16);
    rig.receiver.wait_for("/hung", 16, SOON);
    wait_for_follower(&mut client);
    let leading = wait_for_leader(&mut client);
    rig.receiver.on("/hung", Behaviour::status(200));
    let begun = Instant::now();
    terminate(leading);
    let took = deliver(&rig.receiver, &mut client, "q", "hello");
    assert!(took < Duration::from_secs(12), "{took:?}");
    wait_for_delivered(&mut client, 17);
    println!(
        "lead taken over from 16 hanging requests in {:?}",
        begun.elapsed()
    );
    let mut again = arrived(&rig.receiver, "hung").split_off(16);
    again.sort_unstable();
    hung.sort_unstable();
    assert_eq!(again, hung, "what hung is sent once more");
}

/// A rate leaves something to send for whoever begins to lead.
#[test]
fn settings_that_changed_while_a_worker_waited_count_from_its_first_turn() {
    let rig = two_workers();
    let (_, mut client) = rig.database();
    let url = rig.receiver.url("/q");
    client
        .batch_execute(&format!(
            "select hooks.create_queue('q', '{url}', rate_limit => 1, rate_interval => '1 day')"
        ))
        .unwrap();
    wait_for_follower(&mut client);
    send_many(&mut client, "q", 3);
    wait_for_delivered(&mut client, 1);
    rig.cluster.reload(&[("hooks.start_paused", "on")]);
    wait_until("a worker that is held", SOON, || {
        let rows = client.query("select from hooks.worker where state = 'held: paused'", &[]);
        !rows.unwrap().is_empty()
    });
    assert_eq!(rig.receiver.count(), 1, "nothing was sent after the reload");
}

#[test]
fn advisory_locks_of_users_do_not_keep_anyone_from_leading() {
    let rig = two_workers();
    let (name, mut client) = rig.database();
    wait_for_follower(&mut client);
    let lock = "select classid::bigint, objid::bigint, objsubid::integer from pg_locks \
                where locktype = 'advisory' and granted";
    let lock = client.query_one(lock, &[]).unwrap();
    let (high, low, kind): (i64, i64, i32) = (lock.get(0), lock.get(1), lock.get(2));
    assert!(kind > 2, "1 and 2 are those of pg_advisory_lock");
    let mut squatter = rig.cluster.connect(&name);
    squatter
        .batch_execute(&format!(
            "select pg_advisory_lock(({high}::bigint << 32) | {low}), pg_advisory_lock({high}, {low}), \
                    pg_advisory_lock({kind}), pg_advisory_lock({high}, {kind})"
        ))
        .unwrap();
    let leading = leader(&mut client).unwrap();
    terminate(leading);
    wait_for_successor(&mut client, leading);
    let waiting: i64 = value(
        &mut squatter,
        "select count(*) from pg_locks where locktype = 'advisory' and granted and pid = pg_backend_pid()",
    );
    assert_eq!(waiting, 4, "the squatter still holds them all");
}
