//! Receivers that hang leave slots to others.

use pg_hooks_tests::{Behaviour, wait_until};

use crate::site::{SOON, Site};

#[test]
fn four_queues_that_hang_with_all_their_slots_leave_some_to_a_fifth() {
    let mut site = Site::new();
    for queue in ["a", "b", "c", "d"] {
        site.receiver.on(&format!("/{queue}"), Behaviour::Hang);
        site.queue(queue, ", timeout => '300 s'");
    }
    site.queue("fifth", "");
    site.run(
        "select hooks.send(q, n::text)
         from unnest(array['a', 'b', 'c', 'd']) as q, generate_series(1, 100) as n",
    );
    wait_until("the four to hold what they may", SOON, || {
        let count = site.receiver.count();
        if count >= 200 { Ok(()) } else { Err(count) }
    });
    let mut client = site.connect();
    for _ in 0..10 {
        site.assert_prompt(&mut client, "fifth");
    }
    let in_flight: i32 = site.value("select in_flight from hooks.worker where leader");
    assert!(in_flight < 256, "{in_flight} of 256 slots are taken");
}
