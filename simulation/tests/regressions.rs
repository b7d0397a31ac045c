//! Histories that once broke a rule, as `cargo simulate` printed them.

use pg_hooks_simulation::Simulation;
use pg_hooks_simulation::deliveries::Answered::*;
use pg_hooks_simulation::deliveries::Backs::Every;
use pg_hooks_simulation::deliveries::Event::*;
use pg_hooks_simulation::deliveries::{Breaks, Deliveries, Event, Message, Policy, Rates, Setup};

fn deliveries(setup: Setup, events: &[Event]) {
    Deliveries::run(&setup, events);
}

fn plain(slots: u8) -> Setup {
    Setup {
        slots,
        unclean: false,
        disable_after_s: None,
        queues: [Policy::PLAIN, Policy::PLAIN, Policy::PLAIN, Policy::PLAIN],
    }
}

fn of_key(key: u8) -> Event {
    Send(Message {
        key: Some(key),
        ..Message::PLAIN
    })
}

#[test]
fn rate_limit_does_not_hold_a_queue_back_when_the_clock_is_set_back() {
    let rate = Some(Rates {
        messages: 12,
        interval_ms: 10_000,
        burst: 7,
    });
    deliveries(
        plain(8),
        &[
            Change {
                queue: 3,
                policy: Policy {
                    blocks: true,
                    ..Policy::PLAIN
                },
            },
            Change {
                queue: 3,
                policy: Policy {
                    rate,
                    ..Policy::PLAIN
                },
            },
            Turn,
            Jump { ms: -13_000 },
            Send(Message {
                queue: 3,
                ..Message::PLAIN
            }),
        ],
    );
}

#[test]
fn breaker_and_retry_after_do_not_hold_a_queue_back_longer_when_the_clock_is_set_back() {
    deliveries(
        plain(8),
        &[
            Send(Message::PLAIN),
            Turn,
            Answer {
                nth: 0,
                answered: Refused {
                    status: 429,
                    retry_after_s: Some(5),
                },
                jitter: 0,
            },
            Record { locked: None },
            Jump { ms: -3_600_000 },
            Send(Message::PLAIN),
            Turn,
            Advance { ms: 6000 },
            Turn,
        ],
    );
}

#[test]
fn keys_that_were_left_out_are_met_when_all_others_went_at_once() {
    let mut events = vec![of_key(0), Turn, Turn, Pause { queue: 0 }];
    events.extend([26, 5, 16, 32, 30].map(of_key));
    events.push(Answer {
        nth: 0,
        answered: Accepted,
        jitter: 0,
    });
    events.extend([35, 8, 33].map(of_key));
    deliveries(plain(32), &events);
}

#[test]
fn message_that_is_moved_while_it_is_in_flight_is_retried_from_its_new_queue() {
    deliveries(
        plain(64),
        &[
            Send(Message {
                queue: 3,
                ..Message::PLAIN
            }),
            Turn,
            Move { nth: 0, queue: 0 },
            Turn,
            Answer {
                nth: 0,
                answered: Refused {
                    status: 500,
                    retry_after_s: None,
                },
                jitter: 0,
            },
            Record { locked: None },
        ],
    );
}

#[test]
fn next_of_a_key_goes_on_when_the_one_in_flight_is_moved_to_another_queue_and_fails() {
    deliveries(
        plain(8),
        &[
            of_key(0),
            Turn,
            Turn,
            of_key(0),
            Move { nth: 0, queue: 1 },
            Turn,
            Answer {
                nth: 0,
                answered: Refused {
                    status: 500,
                    retry_after_s: None,
                },
                jitter: 0,
            },
            Record { locked: None },
        ],
    );
}

#[test]
fn slots_that_a_message_too_large_could_not_use_are_left_to_others() {
    let of = |queue, kib| {
        Send(Message {
            queue,
            kib,
            ..Message::PLAIN
        })
    };
    deliveries(
        plain(64),
        &[
            of(0, 0),
            of(3, 0),
            of(3, 0),
            of(0, 9),
            of(1, 0),
            of(2, 20_000),
            Turn,
            of(1, 0),
            Turn,
            of(1, 0),
        ],
    );
}

#[test]
fn keys_whose_first_messages_wait_for_a_later_time_do_not_keep_out_another() {
    let first = |key| {
        Send(Message {
            key: Some(key),
            in_ms: 1_000_000,
            ..Message::PLAIN
        })
    };
    let mut events: Vec<Event> = (0..9).map(first).collect();
    events.extend((0..9).map(of_key));
    events.push(of_key(9));
    events.extend([const { Turn }; 40]);
    deliveries(plain(8), &events);
}

#[test]
fn retry_of_a_message_that_was_moved_while_it_was_on_the_wire_is_known_to_its_new_queue_although_the_clock_went_back()
 {
    deliveries(
        plain(8),
        &[
            Send(Message {
                queue: 3,
                ..Message::PLAIN
            }),
            Turn,
            Jump { ms: -2_864_000 },
            Move { nth: 0, queue: 0 },
            Answer {
                nth: 0,
                answered: Refused {
                    status: 500,
                    retry_after_s: None,
                },
                jitter: 0,
            },
            Record { locked: None },
        ],
    );
}

#[test]
fn queue_that_may_send_only_a_small_message_now_keeps_no_large_one_of_another_waiting() {
    deliveries(
        Setup {
            queues: [
                Policy {
                    max_in_flight: 2,
                    backs: Every { ms: 405 },
                    rate: Some(Rates {
                        messages: 14,
                        interval_ms: 1000,
                        burst: 1,
                    }),
                    ..Policy::PLAIN
                },
                Policy::PLAIN,
                Policy {
                    breaker: Some(Breaks {
                        window_s: 1,
                        min_requests: 1,
                        percent: 70,
                        open_s: 10,
                        max_failed_probes: 1,
                    }),
                    ..Policy::PLAIN
                },
                Policy::PLAIN,
            ],
            ..plain(8)
        },
        &[
            Send(Message::PLAIN),
            Send(Message::PLAIN),
            Send(Message {
                queue: 2,
                ..Message::PLAIN
            }),
            Turn,
            Answer {
                nth: 0,
                answered: Accepted,
                jitter: 0,
            },
            Answer {
                nth: 0,
                answered: Refused {
                    status: 500,
                    retry_after_s: None,
                },
                jitter: 0,
            },
            Send(Message {
                queue: 2,
                key: Some(0),
                kib: 20000,
                ..Message::PLAIN
            }),
            Record { locked: None },
            Send(Message::PLAIN),
            Advance { ms: 10000 },
            Turn,
            Advance { ms: 1000 },
            Answer {
                nth: 0,
                answered: Accepted,
                jitter: 0,
            },
            Send(Message {
                kib: 20000,
                ..Message::PLAIN
            }),
            Send(Message {
                queue: 2,
                ..Message::PLAIN
            }),
            Turn,
            Advance { ms: 1000 },
            Answer {
                nth: 0,
                answered: Accepted,
                jitter: 0,
            },
            Answer {
                nth: 0,
                answered: Accepted,
                jitter: 0,
            },
            Record { locked: None },
            Turn,
            Answer {
                nth: 0,
                answered: Refused {
                    status: 429,
                    retry_after_s: None,
                },
                jitter: 0,
            },
            Advance { ms: 1000 },
            Turn,
            Record { locked: None },
            Turn,
        ],
    );
}

#[test]
fn failures_before_a_queue_was_held_do_not_count_for_the_next_leader() {
    let fails = || {
        [
            Send(Message::PLAIN),
            Turn,
            Answer {
                nth: 0,
                answered: Refused {
                    status: 500,
                    retry_after_s: None,
                },
                jitter: 0,
            },
            Record { locked: None },
            Advance { ms: 6000 },
        ]
    };
    let mended = [
        Suspend { queue: 0 },
        Change {
            queue: 0,
            policy: Policy::PLAIN,
        },
        TakeOver,
    ];
    let setup = Setup {
        disable_after_s: Some(20),
        ..plain(1)
    };
    let events = [&fails()[..], &fails(), &mended, &fails(), &fails(), &fails()].concat();
    deliveries(setup, &events);
}
