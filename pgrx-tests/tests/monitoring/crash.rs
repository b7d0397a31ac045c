//! Totals after a crash.

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::site::{SOON, run, value};
use pg_hooks_tests::{Cluster, Receiver, wait_until};

#[test]
fn totals_are_exact_after_kill_9_of_the_worker() {
    let cluster = Cluster::builder().start();
    let database = cluster.create_hooks_database();
    let receiver = Receiver::start();
    let mut client = cluster.connect(&database);
    run(
        &mut client,
        &format!("select hooks.create_queue('q', '{}')", receiver.url("/q")),
    );
    for round in 1..=3_usize {
        run(
            &mut client,
            "select hooks.send_batch('q', array_fill('x'::text, array[2000]))",
        );
        receiver.wait_for("/q", 2000 * (round - 1) + 700, SOON);
        let leader = wait_until("a leader", SOON, || {
            client
                .query_opt("select pid from hooks.worker where leader", &[])
                .ok()
                .flatten()
                .map(|row| row.get(0))
        });
        assert!(signal(leader, Signal::KILL));
        wait_until("the server to end all sessions", SOON, || {
            client.batch_execute("select 1").is_err()
        });
        client = wait_until("the server to come back", SOON, || {
            cluster.try_connect("postgres", &database)
        });
    }
    let finished =
        "select not exists (select from hooks.message) and not exists (select from hooks.tally_log)";
    wait_until(finished, SOON, || value::<bool>(&mut client, finished));
    // What was on the wire at every death is a dead letter: the worker may have died of it.
    let exact = "select (s.delivered, s.dead, s.attempts)
                      = (6000 - d.letters, d.letters, (select count(*) from hooks.attempt))
                    and (a.delivered, a.dead, a.attempts) = (s.delivered, s.dead, s.attempts)
                    and d.letters <= 1
                 from hooks.queue_stats as s, hooks.stats as a,
                      (select count(*) as letters from hooks.dead_letter) as d";
    assert!(value::<bool>(&mut client, exact));
}
