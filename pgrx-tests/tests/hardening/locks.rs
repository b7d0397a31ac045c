//! Locks that users hold.

use std::time::{Duration, Instant};

use pg_hooks_tests::vitals::cpu_ticks;
use pg_hooks_tests::{Behaviour, Cluster};

use crate::site::{Site, run, send};

#[test]
fn locked_row_of_a_message_in_flight_delays_that_message_only() {
    let mut site = Site::new();
    site.receiver.on("/held", Behaviour::Hang);
    site.queue("held", "");
    site.queue("other", "");
    let held = site.send("held", "x");
    site.arrival("held");
    let mut locker = site.connect();
    run(
        &mut locker,
        &format!("begin; select from hooks.message where id = {held} for update"),
    );
    site.receiver.release("/held");
    let mut client = site.connect();
    for _ in 0..20 {
        site.assert_prompt(&mut client, "other");
    }
    site.wait_for_delivered(20);
    run(&mut locker, "commit");
    site.wait_for_delivered(21);
    assert_eq!(site.arrived("held"), 1, "sent once");
}

/// What has not begun has no result to record: a lock on its row does not concern it.
#[test]
fn locked_row_of_a_waiting_message_delays_no_other() {
    let mut site = Site::new();
    site.queue("q", ", max_in_flight => 2, active => false");
    let ids = [site.send("q", "locked"), site.send("q", "free")];
    let mut locker = site.connect();
    run(
        &mut locker,
        &format!(
            "begin; select from hooks.message where id = {} for update",
            ids[0]
        ),
    );
    site.run("select hooks.resume('q')");
    site.arrivals("q", 2);
    site.wait_for_delivered(1);
    let mut client = site.connect();
    for _ in 0..10 {
        site.assert_prompt(&mut client, "q");
    }
    run(&mut locker, "commit");
    site.wait_for_delivered(12);
    assert_eq!(site.arrived("q"), 12, "each was sent once");
}

#[test]
fn lock_of_all_queues_does_not_stop_messages_of_known_ones() {
    const LASTS: Duration = Duration::from_secs(3);
    let cluster = Cluster::builder()
        .setting("hooks.rescan_interval", "500ms")
        .start();
    let mut site = Site::on(&cluster);
    for queue in ["q", "later"] {
        site.queue(queue, "");
    }
    let mut warm = site.connect();
    send(&mut warm, "q", "makes this session know the queue");
    site.arrival("q");
    run(
        &mut warm,
        "select hooks.send('later', 'x', at => now() + interval '1.5 s')",
    );
    let mut locker = site.connect();
    run(
        &mut locker,
        "begin; lock table hooks.queue in access exclusive mode",
    );
    let begun = Instant::now();
    while begun.elapsed() < LASTS {
        site.assert_prompt(&mut warm, "q");
    }
    assert_eq!(site.arrived("later"), 1);
    run(&mut locker, "commit");
    site.wait_until("select not exists (select from hooks.message)");
    site.send("later", "after");
    site.arrivals("later", 2);
}

#[test]
fn dying_message_does_not_hold_back_the_results_of_others_while_the_queues_are_locked() {
    let mut site = Site::new();
    site.receiver.on("/bad", Behaviour::Hang);
    site.queue("bad", ", max_attempts => 1, timeout => '1 s'");
    site.queue("q", ", max_in_flight => 1");
    let mut warm = site.connect();
    send(&mut warm, "q", "makes this session know the queue");
    site.wait_for_delivered(1);
    site.send("bad", "x");
    site.arrival("bad");
    let mut locker = site.connect();
    run(
        &mut locker,
        "begin; lock table hooks.queue in access exclusive mode",
    );
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        site.assert_prompt(&mut warm, "q");
    }
    run(&mut locker, "commit");
    assert_eq!(site.dead_letters(1), ["timeout"]);
}

fn leader_ticks(site: &mut Site) -> u64 {
    cpu_ticks(site.value("select pid from hooks.worker where leader"))
}

fn locked_message_that_expires(policy: &str, end: &str) {
    let mut site = Site::new();
    site.queue("q", &format!(", active => false{policy}"));
    site.queue("other", "");
    let send = "select hooks.send('q', 'x', expires_at => now() + interval '100 ms')";
    // A queue that was resumed takes one message at a time.
    let (free, locked): (i64, i64) = (site.value(send), site.value(send));
    let mut locker = site.connect();
    run(
        &mut locker,
        &format!("begin; select from hooks.message where id = {locked} for update"),
    );
    site.wait_until("select not exists (select from hooks.message where expires_at > clock_timestamp())");
    site.run("select hooks.resume('q')");
    site.wait_until(&format!("select exists (select from {end} where id = {free})"));
    let mut client = site.connect();
    for _ in 0..10 {
        site.assert_prompt(&mut client, "other");
    }
    site.wait_for_delivered(10);
    let before = leader_ticks(&mut site);
    std::thread::sleep(Duration::from_secs(1));
    let spent = leader_ticks(&mut site) - before;
    assert!(spent < 30, "{spent} ticks in a second of waiting");
    run(&mut locker, "commit");
    site.wait_until(&format!("select exists (select from {end} where id = {locked})"));
}

#[test]
fn locked_message_that_expires_holds_up_nobody_and_is_waited_for_at_rest() {
    locked_message_that_expires("", "hooks.message_log");
}

#[test]
fn locked_message_that_is_to_be_buried_holds_up_nobody_and_is_waited_for_at_rest() {
    locked_message_that_expires(", bury_expired => true", "hooks.dead_letter");
}

#[test]
fn queue_that_somebody_is_changing_stops_no_other_when_it_is_to_be_disabled() {
    let mut site = Site::new();
    site.receiver.on("/gone", Behaviour::status(410));
    site.queue("gone", "");
    site.queue("other", "");
    let mut locker = site.connect();
    run(
        &mut locker,
        "begin; update hooks.queue set description = 'x' where name = 'gone'",
    );
    site.send("gone", "x");
    site.arrival("gone");
    let mut client = site.connect();
    for _ in 0..20 {
        site.assert_prompt(&mut client, "other");
    }
    run(&mut locker, "commit");
    site.wait_until("select not active from hooks.queue where name = 'gone'");
}
