//! Checks of the health that fail or warn for what really is wrong: backlogs, dead rows, old snapshots, transaction
//! ids, worker slots.

use pg_hooks_tests::site::{SOON, Site, run, value};
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

use crate::health::{age_messages, assert_ok, assert_warns, check};

#[test]
fn backlog_of_which_nothing_is_attempted_fails_and_one_that_moves_warns() {
    let mut site = Site::new();
    site.receiver.on("/slow", Behaviour::Hang);
    site.queue("slow", ", max_in_flight => 1, timeout => '300 s'");
    site.queue("good", "");
    site.run("select hooks.send_batch('slow', array['a', 'b'])");
    site.arrival("slow");
    age_messages(&mut site, "1 hour");
    let (status, detail, _) = check(&mut site, "lag");
    assert_eq!(status, "fail", "{detail}");
    assert!(!site.value::<bool>("select hooks.is_healthy()"));
    site.run("select hooks.send('good', 'x')");
    wait_until("an attempt to be counted", SOON, || {
        check(&mut site, "lag").0 == "warn"
    });
    assert!(site.value::<bool>("select hooks.is_healthy()"));
    site.receiver.on("/slow", Behaviour::status(200));
    site.receiver.release("/slow");
    site.settle();
    assert_ok(&mut site, "lag");
}

#[test]
fn dead_rows_that_nobody_removes_are_told_of_until_they_are() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(
        "alter table hooks.message set (autovacuum_enabled = off);
         insert into hooks.message (queue_id, body) select hooks.queue_id('q'), 'x' from generate_series(1, 110000)",
    );
    assert_ok(&mut site, "bloat");
    site.run("delete from hooks.message");
    wait_until("statistics to be told", SOON, || {
        site.run("select 1");
        check(&mut site, "bloat").0 == "warn"
    });
    assert_warns(
        &mut site,
        "bloat",
        "hooks.message has 110000 dead rows and 0 live ones",
    );
    wait_until("the dead rows to be gone", SOON, || {
        site.run("vacuum hooks.message");
        check(&mut site, "bloat").0 == "ok"
    });
}

/// The check asks who holds one for ten minutes.
#[test]
fn old_snapshot_is_told_of_with_who_holds_it() {
    let mut site = Site::new();
    let mut holder = site.connect();
    run(
        &mut holder,
        "begin isolation level repeatable read; select from hooks.queue",
    );
    let pid: i32 = value(&mut holder, "select pg_backend_pid()");
    assert_ok(&mut site, "snapshots");
    // The worker itself has one at times.
    site.wait_until(&format!(
        "select holder = 'process {pid} (postgres)' and remedy like '%pg_terminate_backend({pid})%'
         from hooks.snapshot_holder('0')"
    ));
    run(&mut holder, "rollback");
    drop(holder);
    site.run("begin; select hooks.create_queue('q', 'https://example.com/'); prepare transaction 'kept'");
    site.wait_until(
        "select holder = 'prepared transaction \"kept\"' and remedy like 'COMMIT PREPARED ''kept''%'
         from hooks.snapshot_holder('0')",
    );
    site.run("rollback prepared 'kept'");
    let asked: bool = site.value(
        "select prosrc like '%hooks.snapshot_holder(''10 minutes'')%' from pg_proc where oid = 'hooks.health'::regproc",
    );
    assert!(asked);
}

/// Somebody's open transaction keeps the ids from being frozen, while others use them up.
#[test]
fn transaction_ids_that_are_not_frozen_are_told_of() {
    let cluster = Cluster::builder()
        .setting("autovacuum_freeze_max_age", "100000")
        .start();
    let mut site = Site::on(Box::leak(Box::new(cluster)));
    let mut holder = site.connect();
    run(&mut holder, "begin; select pg_current_xact_id()");
    assert_ok(&mut site, "wraparound");
    site.run("create temp table used (x integer)");
    site.run(
        "do $$ begin
           for i in 1 .. 210000 loop
             begin
               insert into used values (i);
             exception when division_by_zero then null;
             end;
             if i % 10000 = 0 then commit; end if;
           end loop;
         end $$",
    );
    let (status, detail, hint) = check(&mut site, "wraparound");
    assert_eq!(status, "warn", "{detail}");
    assert!(hint.is_some_and(|hint| hint.contains("VACUUM")));
    run(&mut holder, "rollback");
    for (age, status) in [
        (200_000, "ok"),
        (200_001, "warn"),
        (1_500_000_000, "warn"),
        (1_500_000_001, "fail"),
    ] {
        let judged: String = site.value(&format!("select hooks.wraparound_status({age}, 100000)"));
        assert_eq!(judged, status, "{age}");
    }
}

/// One place is the launcher's, one that of logical replication.
#[test]
fn worker_slots_that_are_used_up_are_told_of() {
    let cluster = Cluster::builder()
        .setting("max_worker_processes", "3")
        .setting("hooks.workers", "2")
        .start();
    let mut site = Site::on(Box::leak(Box::new(cluster)));
    site.wait_until("select exists (select from hooks.worker where leader)");
    assert_warns(&mut site, "worker_slots", "1 of 2 workers run in this database");
    assert!(site.value::<bool>("select hooks.is_healthy()"));
}

#[test]
fn database_without_a_worker_fails() {
    let cluster = Cluster::builder().setting("max_worker_processes", "2").start();
    let mut site = Site::on(Box::leak(Box::new(cluster)));
    let (status, _, hint) = check(&mut site, "worker");
    assert_eq!(status, "fail");
    assert!(hint.is_some_and(|hint| hint.contains("max_worker_processes")));
    assert!(!site.value::<bool>("select hooks.is_healthy()"));
}
