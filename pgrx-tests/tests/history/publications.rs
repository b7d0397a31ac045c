//! Publications that send our tables as well: PostgreSQL refuses to delete from a table of theirs without a key.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::Site;

use crate::add_day;

/// Tables that no publication of all tables may have.
const WITHOUT_IDENTITY: &str = "
    select coalesce(string_agg(c.relname, ' ' order by c.relname), '')
    from pg_class as c
    where c.relnamespace = 'hooks'::regnamespace and c.relkind = 'r' and c.relreplident <> 'f'
      and not exists (select from pg_index as i where i.indrelid = c.oid and i.indisprimary)";

/// Rows of the history that are in no day's partition.
fn rows_of(site: &mut Site, at: &str) {
    site.run(&format!(
        "insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
         values (1, 1, 'cancelled', 0, '{at}', '{at}', '{at}');
         insert into hooks.attempt (message_id, attempt, queue_id, attempted_at, duration_ms)
         values (1, 1, 1, '{at}', 1)"
    ));
}

fn change_leaders(site: &mut Site) {
    let leads = "select exists (select from hooks.worker where leader)";
    site.wait_until(leads);
    let leader: i32 = site.value("select pid from hooks.worker where leader");
    site.run(&format!("select pg_terminate_backend({leader})"));
    site.wait_until(&format!(
        "{leads} and not exists (select from hooks.worker where pid = {leader})"
    ));
}

#[test]
fn every_table_says_which_row_is_deleted() {
    let mut site = Site::new();
    add_day(&mut site, "attempt", "'2031-02-03'");
    add_day(&mut site, "message_log", "'2031-02-03'");
    assert_eq!(site.value::<String>(WITHOUT_IDENTITY), "");
}

#[test]
fn publication_of_all_tables_stops_neither_tidying_nor_deliveries_nor_people() {
    let cluster: &'static Cluster = Box::leak(Box::new(
        Cluster::builder()
            .setting("hooks.rescan_interval", "100ms")
            .start(),
    ));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    site.run("create publication everything for all tables");
    change_leaders(&mut site);

    rows_of(&mut site, "2001-01-01 12:00+00");
    site.run(
        "insert into hooks.idempotency_key values ('s', 'k', 1, now() - interval '1 s');
         select hooks.cancel(hooks.send('q', 'x', at => '2100-01-01'))",
    );
    site.wait_until(
        "select not exists (select from hooks.message_log_default)
           and not exists (select from hooks.attempt_default)
           and not exists (select from hooks.idempotency_key)
           and not exists (select from hooks.tally_cancelled)",
    );
    rows_of(&mut site, "2031-02-03 12:00+00");
    assert!(add_day(&mut site, "message_log", "'2031-02-03'"));
    assert!(add_day(&mut site, "attempt", "'2031-02-03'"));
    site.run("select hooks.send('q', 'x')");
    site.arrival("q");
    site.settle();
    site.run(
        "update hooks.message_log set body = null; delete from hooks.message_log; delete from hooks.attempt",
    );
    let log = cluster.log();
    assert!(!log.contains("[PGH201]") && !log.contains("[PGH50"), "{log}");
}
