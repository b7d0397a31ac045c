//! How many messages are on the wire at once, and that those who hang are nobody else's trouble.

use std::time::{Duration, Instant};

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Answer, Behaviour};

use crate::site::{Site, assert_within, ms};

/// For twenty messages, one after the other, on a busy machine: far less than what others take that hang.
const PROMPT: Duration = ms(20_000);

/// Delivers twenty messages of queue `name`, one after the other, and asserts that none had to wait long.
#[track_caller]
fn assert_prompt(site: &mut Site, name: &str) {
    let begun = Instant::now();
    for n in 1..=20 {
        site.send(name, &n.to_string());
        site.arrivals(name, n);
    }
    assert_within("twenty messages", begun.elapsed(), ms(0)..=PROMPT);
}

fn send_many(site: &mut Site, queue: &str, count: usize) {
    site.run(&format!(
        "select hooks.send('{queue}', n::text) from generate_series(1, {count}) as n"
    ));
}

#[test]
fn two_messages_of_a_queue_are_on_the_wire_at_once() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::Barrier(2, Answer::new(200)));
    site.queue("q", "");
    let (first, second) = (site.send("q", "first"), site.send("q", "second"));
    site.wait_for_state(first, "delivered");
    site.wait_for_state(second, "delivered");
    assert_eq!((site.attempts(first).len(), site.attempts(second).len()), (1, 1));
}

#[test]
fn queue_with_one_slot_has_one_message_on_the_wire() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::slow(ms(30)));
    site.queue("q", ", max_in_flight => 1");
    send_many(&mut site, "q", 10);
    site.arrivals("q", 10);
    site.wait_until("select not exists (select from hooks.message)");
    assert_eq!((site.receiver.peak_in_flight("/q"), site.arrived("q")), (1, 10));
}

#[test]
fn slots_of_a_queue_may_be_changed_while_messages_wait() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", max_in_flight => 2");
    send_many(&mut site, "q", 10);
    site.arrivals("q", 2);
    never_within("a third one was sent", ms(200), || site.arrived("q") > 2);
    site.run("select hooks.alter_queue('q', max_in_flight => 7)");
    site.arrivals("q", 7);
    never_within("an eighth one was sent", ms(200), || site.arrived("q") > 7);
    site.receiver.on("/q", Behaviour::status(200));
    site.receiver.release("/q");
    site.arrivals("q", 10);
}

#[test]
fn ten_messages_to_a_receiver_that_hangs_do_not_stop_another_queue() {
    let mut site = Site::settled();
    site.receiver.on("/hung", Behaviour::Hang);
    site.queue("hung", ", timeout => '300 s'");
    site.queue("well", "");
    send_many(&mut site, "hung", 10);
    site.arrivals("hung", 10);
    assert_prompt(&mut site, "well");
}

/// What a receiver gets that has not answered yet: a sixteenth of `hooks.max_in_flight`.
const UNPROVEN: usize = 16;

#[test]
fn queue_that_hangs_holds_few_slots_and_delays_nobody_else() {
    let mut site = Site::settled();
    site.receiver.on("/hung", Behaviour::Hang);
    site.queue("hung", ", timeout => '300 s'");
    site.queue("well", "");
    send_many(&mut site, "hung", 100);
    site.arrivals("hung", UNPROVEN);
    assert_prompt(&mut site, "well");
    site.wait_until(&format!(
        "select in_flight = {UNPROVEN} from hooks.worker where leader"
    ));
    assert_eq!(site.arrived("hung"), UNPROVEN);
    site.receiver.on("/hung", Behaviour::status(200));
    site.receiver.release("/hung");
    site.wait_until("select not exists (select from hooks.message)");
    assert_eq!(site.arrived("hung"), 100);
    site.wait_until("select in_flight = 0 from hooks.worker where leader");
}

#[test]
fn backlog_of_a_slow_queue_does_not_delay_another() {
    let mut site = Site::settled();
    site.receiver.on("/slow", Behaviour::slow(ms(20)));
    site.queue("slow", ", max_in_flight => 4");
    site.queue("well", "");
    send_many(&mut site, "slow", 5_000);
    site.arrivals("slow", 20);
    assert_prompt(&mut site, "well");
    assert!(site.arrived("slow") < 5_000, "it was over too soon for this test");
}
