//! While HTTP is under way the worker is in nobody's way: no transaction, no snapshot, no lock.

use std::time::Instant;

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Behaviour, wait_until};
use postgres::Client;

use crate::site::{SOON, Site, ms, run};

/// A site whose receiver has a request and does not answer.
fn hanging() -> Site {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", timeout => '300 s'");
    site.send("q", "x");
    site.arrival("q");
    site
}

/// A session whose statements fail when they have to wait.
fn impatient(site: &Site) -> Client {
    let mut client = site.connect();
    run(&mut client, "set statement_timeout = '30 s'");
    client
}

#[test]
fn worker_holds_no_transaction_while_a_receiver_hangs() {
    let mut site = hanging();
    let leader = site.leader();
    let activity = |columns: &str| format!("select {columns} from pg_stat_activity where pid = {leader}");
    site.wait_until(&activity("state = 'idle'"));
    let held = activity(
        "xact_start is not null or backend_xmin is not null or backend_xid is not null or state <> 'idle'
         or exists (select from pg_locks as l
                    where l.pid = pg_stat_activity.pid and (l.locktype, l.objid) <> ('advisory', 0))",
    );
    never_within("the worker held something", ms(500), || site.value::<bool>(&held));
    let shown = site.row(
        &activity("backend_type, datname, application_name, wait_event_type"),
        &[],
    );
    let shown: Vec<Option<String>> = (0..4).map(|column| shown.get(column)).collect();
    let database = site.database.clone();
    let expected = ["pg_hooks worker", &database, "pg_hooks", "Extension"].map(|text| Some(text.to_owned()));
    assert_eq!(shown, expected);
}

#[test]
fn ddl_and_vacuum_go_on_while_a_receiver_hangs() {
    let mut site = hanging();
    let mut client = impatient(&site);
    run(
        &mut client,
        "create table t as select n, 'x' as x from generate_series(1, 1000) as n",
    );
    run(&mut client, "create index concurrently on t (n)");
    run(&mut client, "reindex index concurrently t_n_idx");
    run(&mut client, "delete from t");
    // Not at once while the server analyses tables by itself, which takes a snapshot.
    wait_until("rows that no snapshot needs to be removed", SOON, || {
        run(&mut client, "vacuum t");
        let size = client.query_one("select pg_relation_size('t')", &[]);
        size.unwrap().get::<_, i64>(0) == 0
    });
    run(&mut client, "drop table t");
    run(&mut client, "vacuum full hooks.message");
    run(&mut client, "create index on hooks.message (created_at)");
    run(
        &mut client,
        "alter table hooks.attempt_default set (fillfactor = 90)",
    );
    site.receiver.release("/q");
    site.wait_until("select count(*) = 1 from hooks.message_log where state = 'delivered'");
}

#[test]
fn commit_is_noticed_at_once_although_the_worker_waits_for_a_lock() {
    let mut site = Site::settled();
    site.receiver.on("/slow", Behaviour::Hang);
    site.queue("slow", "");
    site.queue("q", "");
    let leader = site.leader();
    let waiting = format!("select exists (select from pg_locks where pid = {leader} and not granted)");
    let mut took = Vec::new();
    // The machine may be busy, but not each time; lock_timeout of the worker is 100 ms, and has begun a while before.
    for round in 1..=20 {
        let slow = site.send("slow", "x");
        site.arrivals("slow", round);
        let mut other = site.connect();
        run(&mut other, "begin; lock table hooks.attempt in share mode");
        site.receiver.release("/slow");
        // The worker is about to record that result when this one commits.
        site.wait_until(&waiting);
        site.send("q", "x");
        run(&mut other, "commit");
        let begun = Instant::now();
        site.arrivals("q", round);
        let elapsed = begun.elapsed();
        site.wait_for_state(slow, "delivered");
        took.push(elapsed);
        if took.iter().filter(|took| **took <= ms(50)).count() == 3 {
            return;
        }
    }
    panic!("it took {took:?}");
}
