//! How many rows and entries of indexes the worker walks, as PostgreSQL counts them.

use std::time::Duration;

use pg_hooks_tests::{Cluster, wait_until};

use crate::site::Site;

/// For some hundred thousand rows on a machine that has other things to do.
const LONG: Duration = Duration::from_secs(60);

/// What sessions have counted and handed over of an index.
fn counted(site: &mut Site, what: &str, index: &str) -> i64 {
    site.value(&format!(
        "select {what} from pg_stat_user_indexes where schemaname = 'hooks' and indexrelname = '{index}'"
    ))
}

#[test]
fn rows_that_died_under_an_old_snapshot_are_not_walked_at_each_rescan() {
    const DEAD: i64 = 300_000;
    let cluster = Cluster::builder()
        .setting("hooks.rescan_interval", "200ms")
        .start();
    let mut site = Site::on(&cluster);
    site.queue("q", ", active => false");
    let mut holder = site.connect();
    holder
        .batch_execute("begin isolation level repeatable read; select 1")
        .unwrap();
    site.run(&format!(
        "set session_replication_role = replica;
         insert into hooks.message (queue_id, body) select q.id, 'x' from hooks.queue as q, generate_series(1, {DEAD});
         delete from hooks.message;
         reset session_replication_role"
    ));
    let surveys = |site: &mut Site| counted(site, "idx_scan", "queue_pkey");
    let wait_for_surveys = |site: &mut Site, count: i64| {
        let until = surveys(site) + count;
        wait_until("some surveys", LONG, || surveys(site) >= until);
    };
    // Until one has met them.
    wait_until("a survey to walk them", LONG, || {
        counted(&mut site, "idx_tup_read", "message_by_due") >= DEAD
    });
    wait_for_surveys(&mut site, 4);
    let before = counted(&mut site, "idx_tup_read", "message_by_due");
    wait_for_surveys(&mut site, 10);
    let walked = counted(&mut site, "idx_tup_read", "message_by_due") - before;
    assert!(walked < 3 * DEAD, "{walked} entries walked");
    // What nothing tells of is found meanwhile.
    site.run(
        "select hooks.resume('q');
         set session_replication_role = replica;
         insert into hooks.message (queue_id, body) select id, 'replicated' from hooks.queue;
         reset session_replication_role",
    );
    assert_eq!(site.arrival("q").text(), "replicated");
}

#[test]
fn keys_that_were_removed_under_an_old_snapshot_are_not_walked_at_each_step() {
    const DEAD: i64 = 20_000;
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1s").start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    let mut holder = site.connect();
    holder
        .batch_execute("begin isolation level repeatable read; select 1")
        .unwrap();
    site.run(&format!(
        "insert into hooks.idempotency_key
         select 's', n::text, n, now() - interval '1 s' - n * interval '1 ms' from generate_series(1, {DEAD}) as n"
    ));
    wait_until("the keys to go", LONG, || {
        site.value::<bool>("select not exists (select from hooks.idempotency_key)")
    });
    // Counts of a session come in at most a second apart.
    wait_until("the counts", LONG, || {
        counted(&mut site, "idx_tup_read", "idempotency_key_by_end") >= DEAD
    });
    let walked = counted(&mut site, "idx_tup_read", "idempotency_key_by_end");
    assert!(walked < 4 * DEAD, "{walked} entries walked");
}
