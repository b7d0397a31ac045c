//! Ordering keys by the hundred thousand, and keys with long backlogs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pg_hooks_tests::vitals::private_kb;
use pg_hooks_tests::{Behaviour, Receiver, wait_until};
use postgres::Client;

use crate::site::{AT_ONCE, Site, run, value};

/// For a hundred thousand messages on a machine that has other things to do.
const DRAINED: Duration = Duration::from_secs(600);

/// Who compares how fast something goes has no heavy neighbour in this file.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A database with the queue "q", paused, that goes to a counting receiver.
fn paused() -> (Site<'static>, Receiver) {
    let mut site = Site::new();
    let receiver = Receiver::counting();
    site.run(&format!(
        "select hooks.create_queue('q', '{}', active => false)",
        receiver.url("/q")
    ));
    (site, receiver)
}

/// Stores so many messages with this key, an expression over n, and sends them. Tells how many a
/// second.
fn drain(site: &mut Site, messages: u32, key: &str) -> f64 {
    site.run(&format!(
        "select hooks.pause('q');
         select hooks.send('q', 'x', ordering_key => {key}) from generate_series(1, {messages}) as n"
    ));
    let began = Instant::now();
    site.run("select hooks.resume('q')");
    wait_until("the table to be empty", DRAINED, || {
        std::thread::sleep(Duration::from_millis(20));
        !site.value::<bool>("select exists (select from hooks.message)")
    });
    f64::from(messages) / began.elapsed().as_secs_f64()
}

/// The better of two drains of one key.
fn best_drain(site: &mut Site) -> f64 {
    let rates = (0..2).map(|_| drain(site, 3_000, "'hot'"));
    rates.fold(0.0, f64::max)
}

/// Sends unkeyed messages for a while; gives the longest time from commit to arrival.
fn longest_delay(client: &mut Client, receiver: &Receiver) -> Duration {
    let delays = (0..10).map(|_| delay_of_one(client, receiver));
    delays.max().unwrap()
}

fn delay_of_one(client: &mut Client, receiver: &Receiver) -> Duration {
    let id: i64 = value(client, "select hooks.send('q', 'unkeyed')");
    let sent = SystemTime::now();
    let arrived = wait_until(format_args!("message {id}"), DRAINED, || {
        let arrivals = receiver.arrivals();
        let arrival = arrivals.iter().rfind(|arrival| arrival.message_id == id);
        arrival.map(|arrival| arrival.unix_us)
    });
    let arrived = UNIX_EPOCH + Duration::from_micros(arrived.try_into().unwrap());
    arrived.duration_since(sent).unwrap_or_default()
}

#[test]
fn long_backlog_of_a_key_delays_no_other_message_of_its_queue() {
    let _alone = alone();
    let (mut site, receiver) = paused();
    site.run(
        "select hooks.send('q', 'x', ordering_key => 'hot') from generate_series(1, 30000);
         select hooks.resume('q')",
    );
    let mut client = site.connect();
    let longest = longest_delay(&mut client, &receiver);
    println!("longest delay beside a key that is worked off: {longest:?}");
    let left: i64 = site.value("select count(*) from hooks.message");
    assert!(left > 1000, "the key was worked off too soon for this test");
    assert!(longest < AT_ONCE, "{longest:?}");
}

#[test]
fn backlog_behind_a_message_that_hangs_delays_no_other_message_of_its_queue() {
    let _alone = alone();
    let mut site = Site::new();
    let receiver = Receiver::counting();
    let hang_once = vec![Behaviour::Hang, Behaviour::status(200)];
    receiver.on("/q", Behaviour::Script(hang_once));
    site.run(&format!(
        "select hooks.create_queue('q', '{}', timeout => '5 minutes');
         select hooks.send('q', 'x', ordering_key => 'hot')",
        receiver.url("/q")
    ));
    wait_until("a message to hang", AT_ONCE, || receiver.count() == 1);
    site.run("select hooks.send('q', 'x', ordering_key => 'hot') from generate_series(1, 100000)");
    let mut client = site.connect();
    let longest = longest_delay(&mut client, &receiver);
    println!("longest delay beside a key that hangs: {longest:?}");
    assert!(longest < AT_ONCE, "{longest:?}");
    assert_eq!(receiver.count(), 11);
}

#[test]
fn hundred_thousand_keys_cost_little_time_and_no_memory() {
    let _alone = alone();
    let (mut site, _receiver) = paused();
    let unkeyed = drain(&mut site, 100_000, "null");
    let keyed = drain(&mut site, 100_000, "'key ' || n");
    let leader = site.leader();
    let before = private_kb(leader);
    drain(&mut site, 100_000, "'other ' || n");
    drain(&mut site, 100_000, "'third ' || n");
    let after = private_kb(leader);
    println!(
        "messages/s: {unkeyed:.0} without keys, {keyed:.0} with a key each; memory {before} to {after} kB"
    );
    assert!(
        keyed > unkeyed / 10.0,
        "{keyed:.0} instead of {unkeyed:.0} messages/s"
    );
    // 200,000 keys that are kept take 9.6 MB. What threads happen to hold takes less.
    assert!(after < before + 8_000, "{before} to {after} kB");
}

#[test]
fn dead_rows_of_a_key_under_an_old_snapshot_do_not_slow_it_down() {
    let _alone = alone();
    let (mut site, _receiver) = paused();
    let free = best_drain(&mut site);
    let mut holder = site.connect();
    run(&mut holder, "begin isolation level repeatable read; select 1");
    site.run(
        "select hooks.pause('q');
         select hooks.send('q', 'x', ordering_key => 'hot') from generate_series(1, 100000);
         delete from hooks.message",
    );
    let held = best_drain(&mut site);
    println!("messages/s of one key: {free:.0}; with 100,000 dead rows {held:.0}");
    // The machine may be slower by now.
    run(&mut holder, "commit");
    site.run("vacuum hooks.message");
    let free = free.min(best_drain(&mut site));
    assert!(held > free / 4.0, "{held:.0} instead of {free:.0} messages/s");
}
