//! What happened lately: quantiles, rates, and counts that grow old.

use std::time::Duration;

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{Site, refusal, row};

/// Counts of a queue of another time, with one attempt of that many milliseconds each.
fn insert_tally(site: &mut Site, span: &str, age: &str, delivered: i64) {
    site.run(&format!(
        "insert into hooks.tally
         select q.id, '{span}', date_bin('1 {span}', now() - interval '{age}', 'epoch'), {delivered}, 0, {delivered}, 0, 0,
                {delivered} * 1000, {delivered} * 1000, '\\x00', '\\x00'
         from (select id from hooks.queue union all select 0) as q"
    ));
}

fn delivered(site: &mut Site) -> Vec<i64> {
    site.column("select delivered from hooks.queue_windows order by period")
}

#[test]
fn quantiles_tell_how_long_attempts_and_deliveries_took() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::slow(Duration::from_millis(80)));
    site.queue("q", "");
    site.run("select hooks.send_batch('q', array_fill('x'::text, array[20]))");
    site.wait_until("select delivered = 20 from hooks.windows where period = '1 minute'");
    let told = row(
        &mut site.client,
        "select duration_p50_ms, duration_p99_ms, duration_mean_ms, latency_p50_ms, latency_p99_ms, latency_mean_ms,
                success_rate, delivered_per_minute
         from hooks.queue_windows where queue = 'q' and period = '1 minute'",
    );
    let told: Vec<f64> = (0..8).map(|column| told.get(column)).collect();
    let exact: Vec<f64> = {
        let exact = row(
            &mut site.client,
            "select percentile_disc(0.5) within group (order by duration_ms),
                    percentile_disc(0.99) within group (order by duration_ms), avg(duration_ms)
             from hooks.attempt",
        );
        (0..3).map(|column| exact.get(column)).collect()
    };
    for (told, exact) in told.iter().zip(exact) {
        assert!((told - exact).abs() <= exact / 16.0, "{told} for {exact}");
    }
    assert!(
        told[3] >= 75.0 && told[4] >= told[3] && told[5] >= 75.0,
        "{told:?}"
    );
    assert_eq!(told[6], 1.0);
    assert!(told[7] > 0.0, "{told:?}");
}

#[test]
fn latency_of_a_message_that_was_sent_for_later_counts_from_then() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x', at => now() + interval '3 seconds')");
    site.wait_until("select delivered = 1 from hooks.windows where period = '1 minute'");
    let latency: f64 = site.value("select latency_mean_ms from hooks.windows where period = '1 minute'");
    let whole: f64 = site
        .value("select extract(epoch from finished_at - created_at)::float8 * 1000 from hooks.message_log");
    assert!(whole - latency > 2500.0, "{latency} of {whole} ms");
}

#[test]
fn latency_of_a_message_that_was_retried_counts_from_its_commit() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue("q", ", retry_schedule => '{1 second}'");
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select delivered = 1 from hooks.windows where period = '1 minute'");
    let latency: f64 = site.value("select latency_p50_ms from hooks.windows where period = '1 minute'");
    assert!(latency > 700.0, "{latency} ms");
}

#[test]
fn each_window_counts_what_lies_within_it() {
    let mut site = Site::new();
    site.queue("q", "");
    insert_tally(&mut site, "minute", "0 minutes", 1);
    insert_tally(&mut site, "minute", "10 minutes", 2);
    insert_tally(&mut site, "minute", "90 minutes", 4);
    insert_tally(&mut site, "hour", "20 hours", 8);
    insert_tally(&mut site, "hour", "30 hours", 16);
    assert_eq!(delivered(&mut site), [1, 3, 15]);
}

#[test]
fn old_minutes_become_hours_and_old_hours_go() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("begin");
    for age in ["200 minutes", "201 minutes", "202 minutes"] {
        insert_tally(&mut site, "minute", age, 1);
    }
    site.run("commit");
    insert_tally(&mut site, "hour", "30 hours", 16);
    assert_eq!(delivered(&mut site), [0, 0, 3]);
    // A new leader looks at everything.
    site.run("select count(pg_terminate_backend(pid)) from hooks.worker");
    site.wait_until(
        "select not exists (select from hooks.tally where span = 'minute' or at < now() - interval '1 day')",
    );
    assert_eq!(delivered(&mut site), [0, 0, 3]);
    let hours: i64 = site.value("select count(*) from hooks.tally where queue_id = 0");
    assert!(hours <= 2, "{hours} rows");
}

#[test]
fn histograms_are_merged_and_asked_in_sql() {
    let mut site = Site::new();
    let merged = "select hooks.histogram_quantiles(hooks.merge_histograms(array['\\x010301'::bytea, '\\x010b03', null]),
                                                   '{0, 0.25, 0.5, 1}')";
    assert_eq!(site.value::<Vec<f64>>(merged), [0.003, 0.003, 0.011, 0.011]);
    let empty = "select hooks.histogram_quantiles('\\x00', '{0.5}')";
    assert_eq!(site.value::<Vec<Option<f64>>>(empty), [None]);
    for garbage in ["''", "'\\x01'", "'\\x0000'", "'\\xffffffff'"] {
        let refused = refusal(
            &mut site.client,
            &format!("select hooks.histogram_quantiles({garbage}::bytea, '{{0.5}}')"),
        );
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("22023", "not a histogram"),
            "{garbage}"
        );
    }
}
