//! Memory that is short: for bodies, answers, statements; and what a worker holds afterwards.

use std::time::Duration;

use pg_hooks_tests::cluster::limit_memory;
use pg_hooks_tests::receiver::Answer;
use pg_hooks_tests::site::Site;
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

/// For what is tried again after half a second, many times over.
const LATE: Duration = Duration::from_secs(120);

/// Each of these strikes now and then, while messages of all sizes are sent.
const SHORT_OF_MEMORY: &str = "memory: contents:every 7, memory: answer:every 5, \
    message::FETCH:every 9=53200, message::CONTENTS:every 5=53200, record::ATTEMPTS:every 6=53200, \
    record::FINISHED:every 7=53200, record::RETRY:every 3=53200, event::EVENTS:every 4=53200, \
    commit: reading due messages:every 11=53200, commit: recording results:every 11=53200, \
    commit: reading contents:every 11=53200";

fn site() -> Site {
    let cluster = Cluster::builder()
        .faulty()
        .setting("hooks.max_body_size", "32MB")
        .start();
    let mut site = Site::on(Box::leak(Box::new(cluster)));
    site.queue("q", ", retry_schedule => '{0}', keep_bodies => true");
    site.queue("large", "");
    site.queue("events", "");
    site.receiver
        .on("/large", Answer::new(200).body(vec![b'x'; 100_000]));
    site.run("select hooks.subscribe('made', 'events', envelope => 'standard')");
    site
}

/// Messages with small and large bodies, answers, retries and events.
fn send_all(site: &mut Site) {
    site.receiver.on(
        "/q",
        Behaviour::OneIn(3, Box::new(Answer::new(503).text("busy").into())),
    );
    site.run(
        "select hooks.send('q', repeat('small ', n)) from generate_series(1, 60) as n;
         select hooks.send('large', repeat('large ', 200000)) from generate_series(1, 30);
         select hooks.send('large', decode(repeat('00ff', 500000), 'hex')) from generate_series(1, 5);
         select hooks.publish('made', jsonb_build_object('n', n, 'text', repeat('event ', 20000)))
         from generate_series(1, 20) as n",
    );
}

fn settle(site: &mut Site) {
    let left = "select count(*) from hooks.message";
    wait_until("all messages to be finished", LATE, || {
        let left: i64 = site.value(left);
        if left == 0 { Ok(()) } else { Err(left) }
    });
}

fn leader(site: &mut Site) -> i32 {
    wait_until("a leader", LATE, || {
        let rows = site
            .client
            .query("select pid from hooks.worker where leader", &[]);
        rows.unwrap().first().map(|row| row.get(0))
    })
}

/// A line of what the system says of a process, in kB.
pub fn kilobytes(pid: i32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn messages_for_which_memory_is_short_now_and_then_all_arrive_and_the_memory_comes_back() {
    let mut site = site();
    let leading = leader(&mut site);
    send_all(&mut site);
    settle(&mut site);
    let before = kilobytes(leading, "RssAnon:");
    let started: String = site.value("select pg_postmaster_start_time()::text");
    let planned = SHORT_OF_MEMORY.split(", ").count();
    site.cluster().set_faults(SHORT_OF_MEMORY);
    // What is taken together at once is another thing on each machine.
    let mut rounds = 0;
    let struck = loop {
        send_all(&mut site);
        settle(&mut site);
        rounds += 1;
        let struck = site.cluster().struck();
        if rounds == 10 || (rounds >= 2 && struck.len() == planned) {
            break struck;
        }
    };
    assert_eq!(struck.len(), planned, "{struck:?}");
    site.cluster().set_faults("");
    // With what was held for the last of them given back.
    send_all(&mut site);
    settle(&mut site);
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.message_log where state = 'delivered'"),
        115 * (1 + rounds + 1)
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
    assert_eq!(
        site.value::<String>("select pg_postmaster_start_time()::text"),
        started
    );
    assert_eq!(leader(&mut site), leading, "the worker did not end");
    let after = kilobytes(leading, "RssAnon:");
    // Half of the bodies that are on the wire at once, in case the allocator keeps some pages.
    assert!(
        after < before + 8 * 1024,
        "{before} kB before, {after} kB afterwards"
    );
}

/// Of the real thing: the system gives the worker no more than a little.
#[test]
fn worker_that_gets_no_memory_for_a_large_message_sends_small_ones_and_that_one_later() {
    let mut site = site();
    send_all(&mut site);
    settle(&mut site);
    let leading = leader(&mut site);
    let started: String = site.value("select pg_postmaster_start_time()::text");
    let room = (kilobytes(leading, "VmSize:") + 8 * 1024) * 1024;
    limit_memory(leading, Some(room));
    let arrived = site.arrived("large");
    site.run(
        "select hooks.send('large', string_agg(md5(n::text), '')) from generate_series(1, 950000) as n;
         select hooks.send('q', 'small') from generate_series(1, 5)",
    );
    wait_until("memory to be short", LATE, || {
        let log = site.cluster().log();
        if log.contains("out of memory") {
            Ok(())
        } else {
            Err(log)
        }
    });
    site.wait_until("select not exists (select from hooks.message as m where m.body = 'small')");
    site.run("select hooks.send('q', 'small')");
    site.wait_until("select not exists (select from hooks.message as m where m.body = 'small')");
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 1);
    assert_eq!(site.arrived("large"), arrived);

    limit_memory(leading, None);
    settle(&mut site);
    assert_eq!(site.arrived("large"), arrived + 1);
    assert_eq!(leader(&mut site), leading, "the worker did not end");
    assert_eq!(
        site.value::<String>("select pg_postmaster_start_time()::text"),
        started
    );
}
