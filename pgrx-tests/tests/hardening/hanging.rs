//! Receivers that hang leave slots and memory to others.

use std::time::Duration;

use pg_hooks_tests::{Behaviour, wait};

use crate::site::Site;

/// For a queue that takes fewer slots than it has messages.
const FILLED: Duration = Duration::from_millis(250);

/// Fills so many queues, whose receivers hang, with messages of this body, one queue after the other.
fn hang(site: &mut Site, queues: usize, messages: usize, body: &str) {
    let mut hung = 0;
    for n in 1..=queues {
        let name = format!("hung{n}");
        site.receiver.on(&format!("/{name}"), Behaviour::Hang);
        site.queue(&name, ", timeout => '300 s'");
        site.run(&format!(
            "select hooks.send('{name}', {body}) from generate_series(1, {messages}) as n"
        ));
        // One after the other, so that each takes all it can.
        let _ = wait::try_wait(FILLED, || site.arrived(&name) == messages.min(64));
        hung += site.arrived(&name);
    }
    println!("{hung} messages of {queues} queues hang");
}

#[track_caller]
fn assert_another_goes_on(site: &mut Site) {
    site.queue("well", "");
    let mut client = site.connect();
    for _ in 0..10 {
        site.assert_prompt(&mut client, "well");
    }
}

#[test]
fn four_queues_that_hang_with_all_their_slots_leave_some_to_a_fifth() {
    let mut site = Site::new();
    hang(&mut site, 4, 100, "n::text");
    assert_another_goes_on(&mut site);
    let in_flight: i32 = site.value("select in_flight from hooks.worker where leader");
    assert!(in_flight < 256, "{in_flight} of 256 slots are taken");
}

#[test]
fn twelve_queues_that_hang_with_all_their_slots_leave_some_to_another() {
    let mut site = Site::new();
    hang(&mut site, 12, 100, "n::text");
    assert_another_goes_on(&mut site);
}

#[test]
fn twenty_queues_that_hang_with_large_messages_leave_room_to_another() {
    let mut site = Site::new();
    hang(&mut site, 20, 2, "repeat('x', 1048576)");
    assert_another_goes_on(&mut site);
}
