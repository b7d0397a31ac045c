//! Locks that users hold.

use std::time::{Duration, Instant};

use pg_hooks_tests::vitals::cpu_ticks;
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

use crate::site::{SOON, Site, run, send};

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
    run(&mut warm, "set lock_timeout = '1 s'");
    let mut locker = site.connect();
    // What a session knows of a queue counts until the leader has looked at all of them for the first time.
    wait_until("a session that need not look at the queues", SOON, || {
        run(
            &mut locker,
            "begin; lock table hooks.queue in access exclusive mode",
        );
        let knows = warm.execute("select hooks.send('q', 'known')", &[]).is_ok();
        if !knows {
            run(&mut locker, "rollback");
            send(&mut warm, "q", "makes this session know the queue");
        }
        knows
    });
    let begun = Instant::now();
    while begun.elapsed() < LASTS {
        site.assert_prompt(&mut warm, "q");
    }
    assert_eq!(site.arrivals("later", 1).len(), 1);
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
    // What it knew before the leader had looked at all queues for the first time counts no more.
    send(&mut warm, "q", "makes this session know the queue once more");
    site.wait_for_delivered(2);
    run(&mut warm, "set lock_timeout = '10 s'");
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
    site.receiver.on("/gone2", Behaviour::status(410));
    site.queue("gone", "");
    site.queue("gone2", ", max_attempts => 1, max_in_flight => 1");
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
    for _ in 0..5 {
        send(&mut client, "gone2", "x");
    }
    site.wait_until("select not active from hooks.queue where name = 'gone2'");
    site.wait_until("select exists (select from hooks.dead_letter)");
    assert_eq!(site.arrived("gone2"), 1, "nothing is sent after a 410");
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 1);
    site.send("gone", "waits");
    site.assert_prompt(&mut client, "other");
    assert_eq!(
        site.arrived("gone"),
        1,
        "nothing is sent while that is to be written down"
    );
    run(&mut locker, "commit");
    site.wait_until("select not active from hooks.queue where name = 'gone'");
}

#[test]
fn state_of_a_queue_that_somebody_has_locked_keeps_back_no_other_when_a_new_leader_begins() {
    let mut site = Site::new();
    site.queue("q", "");
    site.send("q", "the leader has looked at the states when this is recorded");
    site.wait_for_delivered(1);
    for queue in ["locked", "open"] {
        site.queue(queue, "");
        site.run(&format!(
            "insert into hooks.queue_state (queue_id, state, since, until, reason)
             values (hooks.queue_id('{queue}'), 'open', now(), now() + interval '1 hour', 'x')"
        ));
    }
    site.receiver.on("/gone", Behaviour::status(410));
    site.queue("gone", "");
    let mut locker = site.connect();
    run(
        &mut locker,
        "begin; select from hooks.queue_state where queue_id = hooks.queue_id('locked') for update",
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.queue_state"), 2);
    site.run("select pg_terminate_backend(pid) from hooks.worker where leader");
    site.wait_until(
        "select not exists (select from hooks.queue_state where queue_id = hooks.queue_id('open'))",
    );
    site.send("gone", "x");
    site.wait_until("select not active from hooks.queue where name = 'gone'");
    run(&mut locker, "commit");
    site.wait_until("select not exists (select from hooks.queue_state where state = 'open')");
}

/// What was noted is not forgotten while the leader rests from what it could not follow.
#[test]
fn lock_on_the_secrets_delays_what_others_send_for_a_moment_only() {
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1h").start();
    let mut site = Site::on(&cluster);
    site.queue("other", "");
    site.queue("changed", "");
    let mut client = site.connect();
    site.assert_prompt(&mut client, "other");
    // Then the leader has nothing else to wake for.
    site.wait_for_delivered(1);
    site.wait_until("select not exists (select from hooks.tally_log)");
    let mut locker = site.connect();
    run(
        &mut locker,
        "begin; lock table hooks.secret in access exclusive mode",
    );
    site.run("update hooks.queue set max_in_flight = 3 where name = 'changed'");
    wait_until("the leader to rest", SOON, || {
        cluster.log().contains("rests from following changes")
    });
    site.send("other", "x");
    site.arrivals("other", 2);
    run(&mut locker, "commit");
}
