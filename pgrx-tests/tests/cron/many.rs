//! Ten thousand entries.

use std::time::{Duration, Instant};

use pg_hooks_tests::{Cluster, wait_until};

use crate::site::{Site, value};

const ENTRIES: i64 = 10_000;

fn site(cluster: &Cluster) -> Site<'_> {
    let mut site = Site::on(cluster);
    site.queue("q", ", active => false");
    site.queue("other", "");
    site.run(&format!(
        "insert into hooks.cron (name, queue_id, schedule, timezone, body)
         select 'entry ' || n, hooks.queue_id('q'), '0 4 29 2 *', 'America/New_York', 'x'
         from generate_series(1, {ENTRIES}) as n"
    ));
    site
}

/// The figures are bounds for a machine under load; what they are is printed.
#[test]
fn ten_thousand_entries_on_one_tick_are_stored_soon_and_others_are_delivered_meanwhile() {
    let cluster = Cluster::builder().start();
    let mut site = site(&cluster);
    let mut other = site.connect();
    site.run(
        "begin;
         set local session_replication_role = replica;
         update hooks.cron set next_run_at = date_trunc('second', now()) + interval '12 s';
         commit;
         select hooks.note_cron(id) from hooks.cron",
    );
    let tick: i64 = site.value("select extract(epoch from min(next_run_at))::bigint from hooks.cron");
    assert!(site.now() < tick, "the machine is too slow for this test");
    let mut slowest = Duration::ZERO;
    let mut sent = 0;
    let stored_us = wait_until("all messages", Duration::from_secs(60), || {
        sent += 1;
        let begun = Instant::now();
        let id: i64 = value(&mut other, "select hooks.send('other', 'x')");
        wait_until("a message of another queue", Duration::from_secs(30), || {
            site.receiver
                .requests("/other")
                .iter()
                .any(|request| request.message_id() == Some(id))
        });
        slowest = slowest.max(begun.elapsed());
        let row = site
            .client
            .query_one(
                "select (select count(*) from hooks.message where cron_id is not null),
                        (extract(epoch from clock_timestamp()) * 1000000)::bigint",
                &[],
            )
            .unwrap();
        let (count, now): (i64, i64) = (row.get(0), row.get(1));
        if count == ENTRIES { Ok(now) } else { Err(count) }
    });
    let took = Duration::from_micros(u64::try_from(stored_us - tick * 1_000_000).unwrap());
    println!("{ENTRIES} messages stored {took:?} after their tick; slowest of {sent} others {slowest:?}");
    assert!(took < Duration::from_secs(40), "{took:?}");
    assert!(slowest < Duration::from_secs(15), "{slowest:?}");
    let once: bool = site.value(&format!(
        "select count(distinct cron_id) = {ENTRIES} from hooks.message
         where headers ->> 'hooks-cron-tick' = to_char(to_timestamp({tick}) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    ));
    assert!(once);
    let planned: bool = site.value(
        "select bool_and(to_char(next_run_at at time zone timezone, 'HH24:MI') = '04:00') from hooks.cron",
    );
    assert!(planned);
}

#[test]
fn ten_thousand_entries_ask_nothing_while_idle() {
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1h").start();
    let mut site = site(&cluster);
    let leader = site.leader();
    let last_query = format!(
        "select coalesce(query_start, backend_start)::text from pg_stat_activity where pid = {leader}"
    );
    // The first look is over when an entry runs.
    site.run("select hooks.schedule('last', 'other', '@yearly'); update hooks.cron set next_run_at = now() where name = 'last'");
    site.wait_until("select exists (select from hooks.message_log)");
    let quiet_for = Duration::from_secs(2);
    wait_until("the leader to fall quiet", Duration::from_secs(20), || {
        let before: String = site.value(&last_query);
        let begun = Instant::now();
        while begun.elapsed() < quiet_for {
            std::thread::sleep(Duration::from_millis(100));
        }
        let after: String = site.value(&last_query);
        before == after
    });
}

#[test]
fn ten_thousand_entries_cost_little_memory() {
    let cluster = Cluster::builder().start();
    let mut site = site(&cluster);
    let leader = site.leader();
    site.run("select hooks.schedule('last', 'other', '@yearly'); update hooks.cron set next_run_at = now() where name = 'last'");
    site.wait_until("select exists (select from hooks.message_log)");
    let status = std::fs::read_to_string(format!("/proc/{leader}/status")).unwrap();
    let anonymous = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    println!("{ENTRIES} entries: {anonymous}");
    let kilobytes: u64 = anonymous.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 60_000, "{anonymous}");
}
