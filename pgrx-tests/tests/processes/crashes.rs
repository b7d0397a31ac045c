//! kill -9 while writers commit.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::meanwhile::StopAtEnd;
use pg_hooks_tests::{Cluster, wait_until};
use postgres::Client;

use crate::burst::{self, Fate, Ledger};
use crate::rig::{Rig, SOON, value, wait_for_follower, wait_for_leader};
use crate::vitals::{launcher, logged};

const WRITERS: usize = 3;
/// The default of `hooks.max_in_flight`.
const MAX_IN_FLIGHT: usize = 256;

/// Lets writers write, kills whom `choose` says, lets them write on, and settles the account.
fn kill_during_a_burst(workers: &str, choose: impl Fn(&mut Client) -> i32) {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.workers", workers));
    let (database, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let stop = AtomicBool::new(false);
    let (ledger, back_after) = std::thread::scope(|scope| {
        let writer = |number| {
            let (rig, database, stop) = (&rig, &database, &stop);
            scope.spawn(move || burst::write(rig, database, number, stop))
        };
        let writers = (1..=WRITERS).map(writer).collect();
        let writing = StopAtEnd(&stop);
        rig.receiver.wait_for("/q", 300, SOON);
        let victim = choose(&mut client);
        let killed_at = Instant::now();
        assert!(signal(victim, Signal::KILL));
        wait_until("the server to end all sessions", SOON, || {
            client.batch_execute("select 1").is_err()
        });
        wait_until("the last old process to end", SOON, || {
            logged(&rig.cluster, "all server processes terminated") > 0
        });
        let before = rig.receiver.count();
        let more = rig.receiver.wait_for("/q", before + 300, Duration::from_secs(20));
        drop(writing);
        (
            burst::join(writers),
            more[before].arrived.at.duration_since(killed_at),
        )
    });
    settle(&rig, &database, &ledger, back_after);
}

fn settle(rig: &Rig, database: &str, ledger: &Ledger, back_after: Duration) {
    let mut client = rig.reconnect(database);
    burst::send_last(&mut client);
    wait_until("everything to be sent", SOON, || {
        let left: i64 = value(&mut client, "select count(*) from hooks.message");
        if left == 0 { Ok(()) } else { Err(left) }
    });
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for request in rig.receiver.requests("/q") {
        *arrived.entry(request.text().to_owned()).or_default() += 1;
    }
    let of = |fate| {
        ledger
            .iter()
            .filter(move |(_, known)| **known == fate)
            .map(|(body, _)| body)
    };
    let lost: Vec<_> = of(Fate::Committed)
        .filter(|body| !arrived.contains_key(*body))
        .collect();
    assert!(lost.is_empty(), "committed and lost: {lost:?}");
    for fate in [Fate::RolledBack, Fate::NeverCommitted] {
        let wrong: Vec<_> = of(fate).filter(|body| arrived.contains_key(*body)).collect();
        assert!(wrong.is_empty(), "{fate:?} and sent: {wrong:?}");
    }
    let again: usize = arrived.values().map(|times| times - 1).sum();
    println!(
        "{} committed, {} rolled back, {} unknown; {again} sent again; first send {back_after:?} after the kill",
        of(Fate::Committed).count(),
        of(Fate::RolledBack).count(),
        of(Fate::Unknown).count(),
    );
    assert!(again <= MAX_IN_FLIGHT, "{again} sent again");
    assert!(back_after < Duration::from_secs(10), "{back_after:?}");
    assert!(rig.cluster.log().contains("was terminated by signal 9"));
}

#[test]
fn killed_leader_loses_nothing_and_sends_nothing_that_was_not_committed() {
    kill_during_a_burst("2", wait_for_leader);
}

#[test]
fn killed_follower_loses_nothing() {
    kill_during_a_burst("2", wait_for_follower);
}

#[test]
fn killed_launcher_loses_nothing() {
    kill_during_a_burst("1", |client| launcher(client).unwrap());
}

#[test]
fn killed_client_backend_loses_nothing_and_sends_nothing_that_was_not_committed() {
    kill_during_a_burst("1", |client| {
        let busy = "select pid from pg_stat_activity \
                    where backend_type = 'client backend' and pid <> pg_backend_pid() and state <> 'idle' limit 1";
        wait_until("a writer in a transaction", SOON, || {
            client
                .query(busy, &[])
                .unwrap()
                .first()
                .map(|row| row.get::<_, i32>(0))
        })
    });
}
