//! Bodies and answers that would eat memory or time.

use std::time::Duration;

use pg_hooks_tests::vitals::{peak_kb, private_kb};
use pg_hooks_tests::{Answer, Behaviour, Receiver, wait_until};

use crate::site::{SOON, Site, assert_within, ms};

/// What the scheduler lets be in flight of large messages, in kB.
const BYTE_BUDGET_KB: u64 = 16 << 10;

/// "decoded", compressed.
const GZIP: [u8; 27] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 75, 73, 77, 206, 79, 73, 77, 1, 0, 246, 154, 240, 26, 7, 0, 0, 0,
];

#[test]
fn thousand_messages_of_one_mebibyte_take_no_more_memory_than_the_budget() {
    let mut site = Site::with(Receiver::counting());
    let leader = site.leader();
    for name in ["q", "r"] {
        site.queue(name, "");
        site.run(&format!(
            "select hooks.send('{name}', n::text) from generate_series(1, 500) as n"
        ));
    }
    wait_for_log(&mut site, 1_000);
    let before = private_kb(leader);
    site.run("select hooks.pause('q'), hooks.pause('r')");
    site.run(
        "insert into hooks.message (queue_id, body)
         select id, repeat(n::text || ' ', (1 << 20) / length(n::text || ' '))
         from hooks.queue, generate_series(100, 599) as n",
    );
    let peak = peak_kb(leader, || {
        site.run("select hooks.resume('q'), hooks.resume('r')");
        wait_for_log(&mut site, 2_000);
    });
    assert_eq!(site.receiver.count(), 2_000);
    // While messages are read there are two copies of them.
    assert!(
        peak < before + 2 * BYTE_BUDGET_KB,
        "resident memory went from {before} kB to {peak} kB"
    );
}

#[test]
fn large_payloads_of_events_that_go_out_transformed_take_no_memory() {
    let mut site = Site::with(Receiver::counting());
    let leader = site.leader();
    site.queue("q", "");
    site.run(
        "create function public.number(p jsonb, c jsonb) returns jsonb language sql as $$ select p->'n' $$;
         select hooks.subscribe('a', 'q', transform => 'public.number');
         select hooks.publish('a', '{\"n\": 1}') from generate_series(1, 100)",
    );
    wait_for_log(&mut site, 100);
    let before = private_kb(leader);
    site.run("select hooks.pause('q')");
    site.run(
        "select hooks.publish('a', jsonb_build_object('n', n, 'rest', repeat('0123456789', 100000)))
         from generate_series(1, 100) as n",
    );
    let peak = peak_kb(leader, || {
        site.run("select hooks.resume('q')");
        wait_for_log(&mut site, 200);
    });
    assert_eq!(site.receiver.count(), 200);
    assert!(
        peak < before + 2 * BYTE_BUDGET_KB,
        "resident memory went from {before} kB to {peak} kB"
    );
}

/// Waits until so many messages are delivered.
#[track_caller]
fn wait_for_log(site: &mut Site, count: i64) {
    let delivered = "select count(*) from hooks.message_log where state = 'delivered'";
    wait_until(
        format_args!("{count} deliveries"),
        Duration::from_secs(60),
        || site.value::<i64>(delivered) == count,
    );
}

#[test]
fn compressed_answer_that_nobody_asked_for_is_not_decoded() {
    let mut site = Site::settled();
    for encoding in ["gzip", "deflate", "br"] {
        let path = format!("/{encoding}");
        let answer = Answer::new(200).header("content-encoding", encoding).body(GZIP);
        site.receiver.on(&path, answer);
        site.queue(encoding, "");
        let id = site.send(encoding, "x");
        site.wait_for_state(id, "delivered");
        let attempt = site.attempt(id);
        assert_eq!(attempt.response.as_deref(), Some(&GZIP[..]), "{encoding}");
        assert!(!attempt.truncated);
        assert_eq!(site.arrival(encoding).header("accept-encoding"), None);
    }
}

#[test]
fn dripping_answers_take_little_memory_and_end_at_the_timeout() {
    let mut site = Site::settled();
    let leader = site.leader();
    let drip = |status| Answer::new(status).body(vec![b'x'; 1 << 20]);
    site.receiver.on("/head", Behaviour::DripAll(ms(500), drip(200)));
    site.receiver.on("/body", Behaviour::DripBody(ms(100), drip(200)));
    for (name, timeout) in [("head", 2), ("body", 5)] {
        site.queue(
            name,
            &format!(", max_attempts => 1, timeout => '{timeout} s', breaker_threshold => null"),
        );
    }
    let before = private_kb(leader);
    let peak = peak_kb(leader, || {
        site.run("select hooks.send(name, n::text) from hooks.queue, generate_series(1, 50) as n");
        // Sixteen at a time to a receiver that has never answered.
        wait_until("all attempts", 3 * SOON, || {
            let count = "select count(*) = 100 from hooks.attempt";
            site.client.query_one(count, &[]).unwrap().get::<_, bool>(0)
        });
    });
    // 100 threads, at about 60 kB each.
    assert!(
        peak < before + 12_000,
        "resident memory went from {before} kB to {peak} kB"
    );
    let rows = site
        .client
        .query(
            "select q.name, status, error_class, duration_ms from hooks.attempt as a
             join hooks.queue as q on q.id = a.queue_id",
            &[],
        )
        .unwrap();
    for row in rows {
        let expected = match row.get(0) {
            "head" => (None, Some("timeout")),
            _ => (Some(200), None),
        };
        assert_eq!(
            (row.get::<_, Option<i16>>(1), row.get::<_, Option<&str>>(2)),
            expected
        );
        let took = Duration::from_secs_f64(row.get::<_, f64>(3) / 1000.0);
        // A busy machine notices late; without its timeout such an answer takes a day.
        assert_within("the attempt", took, ms(1_900)..=ms(30_000));
    }
}
