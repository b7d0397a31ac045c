//! Large messages by the hundred.

use pg_hooks_tests::{Behaviour, Receiver, wait_until};

use crate::site::{SOON, Site, run};

/// Stores 400 messages of 1 MB for queue "big", which goes to this URL.
fn fill(site: &mut Site, url: &str) {
    site.run(&format!("select hooks.create_queue('big', '{url}')"));
    site.run("select hooks.send('big', repeat(n::text, 1000000 / length(n::text))) from generate_series(1, 400) as n");
}

/// Most memory that a process ever had, in kB.
fn peak_memory_kb(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_is_bounded_by_what_is_sent_and_not_by_what_is_due() {
    let mut site = Site::new();
    let receiver = Receiver::counting();
    fill(&mut site, &receiver.url("/big"));
    wait_until("400 messages to arrive", 2 * SOON, || {
        let count = receiver.count();
        if count == 400 { Ok(()) } else { Err(count) }
    });
    site.wait_for_delivered(400);
    let peak = peak_memory_kb(site.leader());
    println!("peak memory of the worker with 400 messages of 1 MB: {peak} kB");
    assert!(peak < 100_000, "{peak} kB");
    assert_eq!(receiver.count(), 400, "each arrived once");
}

#[test]
fn large_messages_to_a_receiver_that_hangs_leave_room_for_small_ones() {
    let mut site = Site::new();
    let receiver = Receiver::counting();
    receiver.on("/big", Behaviour::Hang);
    site.queue("small", "");
    fill(&mut site, &receiver.url("/big"));
    wait_until("some large ones to hang", SOON, || receiver.count() >= 4);
    let mut client = site.connect();
    for _ in 0..10 {
        site.assert_prompt(&mut client, "small");
    }
    let peak = peak_memory_kb(site.leader());
    println!("peak memory of the worker while messages of 1 MB hang: {peak} kB");
    assert!(peak < 100_000, "{peak} kB");
    run(
        &mut client,
        "select hooks.drop_queue('big', cancel_messages => true)",
    );
}
