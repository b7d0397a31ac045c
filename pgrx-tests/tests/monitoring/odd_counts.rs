//! Counts that are not what they should be: of queues that cannot be, too large for their columns, of times to come.

use pg_hooks_tests::site::{Site, refusal};

/// A queue of this id, as replication may bring it.
fn replicate_queue(site: &mut Site, id: i64) {
    let url = site.receiver.url("/replicated");
    site.run(&format!(
        "begin;
         set local session_replication_role = replica;
         insert into hooks.queue (id, name, url) values ({id}, 'replicated', '{url}');
         commit"
    ));
}

/// A new leader looks at everything.
fn replace_leader(site: &mut Site) {
    site.run("select count(pg_terminate_backend(pid)) from hooks.worker");
}

#[test]
fn queue_with_the_id_that_stands_for_all_is_refused() {
    let mut site = Site::new();
    for id in [0, -1] {
        let insert =
            format!("insert into hooks.queue (id, name, url) values ({id}, 'q', 'https://example.com')");
        let refused = refusal(&mut site.client, &insert);
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("22023", "id of a queue must be 1 or more")
        );
    }
}

#[test]
fn queue_with_the_id_that_stands_for_all_stops_no_counting() {
    let mut site = Site::new();
    site.queue("q", "");
    replicate_queue(&mut site, 0);
    site.run(
        "insert into hooks.message (queue_id, body) values (0, 'x');
         insert into hooks.message (queue_id, body, due_at) values (0, 'never', '2100-01-01');
         select hooks.cancel(id) from hooks.message where body = 'never'",
    );
    site.arrival("replicated");
    site.run(
        "select hooks.send('q', 'x'); select hooks.cancel(hooks.send('q', 'never', at => '2100-01-01'))",
    );
    site.wait_until("select delivered = 1 from hooks.queue_stats where queue = 'q'");
    replace_leader(&mut site);
    site.wait_until(
        "select not exists (select from hooks.tally_log) and not exists (select from hooks.tally_cancelled)",
    );
    site.wait_until("select (delivered, cancelled) = (2, 2) from hooks.stats");
    site.wait_until("select (delivered, cancelled) = (1, 1) from hooks.queue_stats where queue = 'q'");
}

#[test]
fn sums_that_are_too_large_stop_no_counting() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select delivered = 1 from hooks.queue_stats where queue = 'q'");
    let largest = "latency_micros = 9223372036854775807, duration_micros = 9223372036854775807";
    site.run(&format!(
        "update hooks.queue_total set {largest};
         update hooks.tally set {largest};
         insert into hooks.tally
         select queue_id, span, date_bin('1 hour', at, 'epoch') - n * interval '1 min', attempts, failed, delivered, dead,
                expired, latency_micros, duration_micros, latency, duration
         from hooks.tally, generate_series(200, 202) as n
         where at = (select max(at) from hooks.tally)"
    ));
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select delivered = 2 from hooks.queue_stats where queue = 'q'");
    replace_leader(&mut site);
    site.wait_until("select not exists (select from hooks.tally where at < now() - interval '3 hours' and span = 'minute')");
    site.wait_until("select delivered = 5 from hooks.queue_windows where period = '24 hours'");
}

#[test]
fn message_that_was_made_before_all_times_counts_as_one_that_waited_for_long() {
    let mut site = Site::new();
    site.receiver.on("/q", pg_hooks_tests::Behaviour::failing(1, 500));
    site.queue("q", ", retry_schedule => '{1 ms}'");
    site.run(
        "insert into hooks.message (queue_id, created_at, body) select id, '-infinity', 'x' from hooks.queue",
    );
    site.wait_until("select delivered = 1 from hooks.queue_stats where queue = 'q'");
    let latency: f64 = site.value("select latency_mean_ms from hooks.queue_stats where queue = 'q'");
    // 2^42 microseconds are 50 days.
    assert_eq!(latency, 4_398_046_511.104);
}

#[test]
fn what_was_counted_before_the_clock_was_set_back_is_in_no_window() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select delivered = 1 from hooks.queue_windows where period = '1 minute'");
    site.run(
        "insert into hooks.tally
         select queue_id, span, at + interval '2 hours', attempts, failed, delivered, dead, expired, latency_micros,
                duration_micros, latency, duration
         from hooks.tally",
    );
    let delivered: Vec<i64> = site.column("select delivered from hooks.queue_windows order by period");
    assert_eq!(delivered, [1, 1, 1]);
}
