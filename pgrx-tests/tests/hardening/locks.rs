//! Locks that users hold.

use std::time::{Duration, Instant};

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
