//! Rate limit, Retry-After, throttle and breaker, as the scheduler applies them.

use super::*;
use crate::domain::breaker::{BreakerPolicy, Change};
use crate::domain::rate::RateLimit;

fn with(change: impl FnOnce(&mut Queue)) -> Arc<Queue> {
    let mut queue = Queue::clone(&queue(1, 64, 5));
    change(&mut queue);
    Arc::new(queue)
}

/// Plans at a time, lets so many rows be found, and returns how many are sent.
fn send(scheduler: &mut Scheduler, ids: std::ops::Range<i64>, now: i64) -> usize {
    let rows: Vec<Candidate> = ids.map(|id| row(id, 0)).collect();
    let mut sent = 0;
    for fetch in scheduler.plan(Timestamp(now)) {
        let count = rows.len().min(limit(&fetch) as usize);
        sent += scheduler
            .admit(&fetch, answer(&rows[..count]), Timestamp(now))
            .len();
    }
    sent
}

fn observe(
    scheduler: &mut Scheduler,
    id: i64,
    status: u16,
    retry_after: Option<u64>,
    now: i64,
) -> Option<Notice> {
    let outcome = if status < 300 {
        Outcome::Accepted { status }
    } else {
        Outcome::Refused {
            status,
            retry_after: retry_after.map(Duration::from_secs),
        }
    };
    let notices = scheduler.observe(id, &outcome, Timestamp(now), Timestamp(now));
    let notice = notices
        .into_iter()
        .find(|(_, notice)| !matches!(notice, Notice::Failing(_)));
    scheduler.release(id, None);
    notice.map(|(_, notice)| notice)
}

#[test]
fn rate_limit_lets_a_burst_go_and_wakes_for_the_next() {
    let limited = with(|q| q.rate_limit = Some(RateLimit::new(10, Duration::from_secs(1), 3)));
    let mut scheduler = loaded(100, &[limited]);
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(&mut scheduler, 1..50, SECOND), 3);
    assert_eq!(scheduler.next_wake(), Some(Timestamp(SECOND + 100_000)));
    assert_eq!(send(&mut scheduler, 4..50, SECOND + 99_999), 0);
    assert_eq!(send(&mut scheduler, 4..50, SECOND + 100_000), 1);
}

#[test]
fn retry_after_holds_the_whole_queue_back() {
    let mut scheduler = loaded(100, &[with(|q| q.max_in_flight = 1)]);
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(&mut scheduler, 1..50, SECOND), 1);
    observe(&mut scheduler, 1, 429, Some(7), SECOND);
    assert_eq!(scheduler.next_wake(), Some(Timestamp(8 * SECOND)));
    assert_eq!(send(&mut scheduler, 2..50, 8 * SECOND - 1), 0);
    assert_eq!(send(&mut scheduler, 2..50, 8 * SECOND), 1);
}

#[test]
fn overloaded_receiver_gets_fewer_at_once() {
    let mut scheduler = loaded(400, &[with(|_| {})]);
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(&mut scheduler, 1..200, SECOND), 64);
    observe(&mut scheduler, 1, 503, None, SECOND);
    for id in 2..40 {
        scheduler.release(id, None);
    }
    assert_eq!(send(&mut scheduler, 100..300, SECOND), 32 - 25);
}

#[test]
fn tripped_breaker_stops_the_queue_and_a_probe_brings_it_back() {
    let mut scheduler = loaded(100, &[with(|q| q.breaker = Some(BreakerPolicy::default()))]);
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(&mut scheduler, 1..11, SECOND), 10);
    scheduler.note_due(1, Timestamp(SECOND));
    let notices: Vec<_> = (1..11)
        .filter_map(|id| observe(&mut scheduler, id, 500, None, SECOND))
        .collect();
    let until = Timestamp(31 * SECOND);
    assert_eq!(notices, [Notice::Breaker(Change::Tripped { until })]);
    assert_eq!(send(&mut scheduler, 20..100, 30 * SECOND), 0);
    assert_eq!(scheduler.next_wake(), Some(until));
    assert_eq!(send(&mut scheduler, 20..100, 31 * SECOND), 1);
    assert_eq!(send(&mut scheduler, 21..100, 31 * SECOND), 0);
    assert_eq!(
        observe(&mut scheduler, 20, 200, None, 32 * SECOND),
        Some(Notice::Breaker(Change::Recovered))
    );
    assert_eq!(
        send(&mut scheduler, 21..100, 32 * SECOND),
        1,
        "a slow start, not a herd"
    );
}

#[test]
fn gone_receiver_is_told() {
    let mut scheduler = loaded(100, &[with(|_| {})]);
    scheduler.note_due(1, Timestamp(0));
    send(&mut scheduler, 1..2, SECOND);
    assert_eq!(observe(&mut scheduler, 1, 410, None, SECOND), Some(Notice::Gone));
}

#[test]
fn breaker_that_is_removed_while_it_is_open_holds_nothing_back() {
    let mut scheduler = loaded(100, &[with(|q| q.breaker = Some(BreakerPolicy::default()))]);
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(&mut scheduler, 1..11, SECOND), 10);
    scheduler.note_due(1, Timestamp(SECOND));
    for id in 1..11 {
        observe(&mut scheduler, id, 500, None, SECOND);
    }
    assert_eq!(send(&mut scheduler, 20..40, SECOND), 0, "it is open");
    scheduler.load_queue(with(|q| q.breaker = None), Timestamp(0));
    assert_eq!(send(&mut scheduler, 20..40, SECOND), 20);
}

#[test]
fn raised_rate_takes_effect_at_once() {
    let slow = RateLimit::new(10, Duration::from_secs(3600), 10);
    let mut scheduler = loaded(100, &[with(|q| q.rate_limit = Some(slow))]);
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(&mut scheduler, 1..40, SECOND), 10);
    let fast = RateLimit::new(1000, Duration::from_secs(1), 1000);
    scheduler.load_queue(with(|q| q.rate_limit = Some(fast)), Timestamp(0));
    assert_eq!(send(&mut scheduler, 11..40, SECOND), 29);
}

/// Has one message start, and gives its id.
fn start_one(scheduler: &mut Scheduler, id: MessageId, now: i64) {
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(scheduler, id..id + 1, now), 1);
}

#[test]
fn what_began_before_a_queue_was_resumed_or_sent_to_another_place_says_nothing_of_it() {
    let elsewhere = |q: &mut Queue| q.endpoint = Endpoint::parse("https://new.example.com/").expect("a URL");
    let resumed: &dyn Fn(&mut Scheduler) = &|scheduler| {
        scheduler.load_queue(inactive(&with(|_| {})), Timestamp(2 * SECOND));
        scheduler.load_queue(with(|_| {}), Timestamp(2 * SECOND));
    };
    let moved: &dyn Fn(&mut Scheduler) =
        &|scheduler| scheduler.load_queue(with(elsewhere), Timestamp(2 * SECOND));
    let touched: &dyn Fn(&mut Scheduler) =
        &|scheduler| scheduler.load_queue(with(|q| q.keep_bodies = true), Timestamp(2 * SECOND));
    for (change, still_counts) in [(resumed, false), (moved, false), (touched, true)] {
        let mut scheduler = loaded(100, &[with(|_| {})]);
        start_one(&mut scheduler, 1, SECOND);
        start_one(&mut scheduler, 2, SECOND);
        change(&mut scheduler);
        // It waited in the line until after the change, and was sent as it was told before.
        let old = Timestamp(2 * SECOND + 1);
        let gone = |scheduler: &mut Scheduler, id, began| {
            let outcome = Outcome::Refused {
                status: 410,
                retry_after: None,
            };
            scheduler.observe(id, &outcome, began, Timestamp(3 * SECOND))
        };
        assert_eq!(!gone(&mut scheduler, 1, old).is_empty(), still_counts);
        let busy = Outcome::Refused {
            status: 429,
            retry_after: Some(Duration::from_secs(3_600)),
        };
        scheduler.observe(2, &busy, old, Timestamp(3 * SECOND));
        (1..=2).for_each(|id| scheduler.release(id, None));
        scheduler.note_due(1, Timestamp(0));
        let sent = send(&mut scheduler, 3..4, 4 * SECOND);
        assert_eq!(sent, usize::from(!still_counts), "Retry-After of the old one");
        if !still_counts {
            assert_eq!(
                gone(&mut scheduler, 3, Timestamp(4 * SECOND)),
                [(1, Notice::Gone)]
            );
        }
    }
}

#[test]
fn message_that_is_given_back_unsent_leaves_the_rate_to_others() {
    let hourly = RateLimit::new(1, Duration::from_secs(3_600), 1);
    let mut scheduler = loaded(100, &[with(|q| q.rate_limit = Some(hourly))]);
    for round in 1..5 {
        start_one(&mut scheduler, 1, round * SECOND);
        scheduler.release(1, Some(Timestamp(0)));
    }
    start_one(&mut scheduler, 1, 5 * SECOND);
    observe(&mut scheduler, 1, 500, None, 5 * SECOND);
    scheduler.release(1, Some(Timestamp(0)));
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(send(&mut scheduler, 2..3, 6 * SECOND), 0, "an attempt was made");
}

#[test]
fn failures_at_the_old_place_do_not_disable_a_queue_that_was_sent_elsewhere() {
    for moves in [false, true] {
        let mut scheduler = loaded(100, &[with(|_| {})]);
        scheduler.set_disable_after(Some(Duration::from_secs(100)));
        let mut last = Vec::new();
        for (id, at) in (1..).zip([0, 50, 99, 101]) {
            if at == 101 && moves {
                let elsewhere = Endpoint::parse("https://new.example.com/").expect("a URL");
                scheduler.load_queue(with(|q| q.endpoint = elsewhere), Timestamp(100 * SECOND));
            }
            start_one(&mut scheduler, id, at * SECOND);
            let failed = Outcome::Refused {
                status: 500,
                retry_after: None,
            };
            let now = Timestamp(at * SECOND);
            last = scheduler.observe(id, &failed, now, now);
            scheduler.release(id, None);
        }
        assert_eq!(
            last.contains(&(1, Notice::Failing(FailingChange::GiveUp))),
            !moves
        );
    }
}
