//! The scheduler in single scenes. What holds in all histories is looked at in `simulation/`.

mod bytes;
mod keys;
mod limits;
mod pressure;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::auth::Auth;
use crate::domain::endpoint::Endpoint;
use crate::domain::failing::FailingChange;
use crate::domain::headers::Headers;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{AcceptedStatuses, Method};
use crate::domain::retry::{Backoff, RetryPolicy};

const SECOND: i64 = 1_000_000;

fn queue(id: QueueId, max_in_flight: u32, max_attempts: u32) -> Arc<Queue> {
    Arc::new(Queue {
        id,
        endpoint: Endpoint::parse("https://example.com/hook").expect("a valid URL"),
        method: Method::Post,
        headers: Headers::default(),
        timeout: Duration::from_secs(15),
        accepted: AcceptedStatuses::Successful,
        retry: RetryPolicy {
            max_attempts,
            backoff: Backoff::Schedule(vec![Duration::from_secs(5)]),
        },
        max_in_flight,
        rate_limit: None,
        breaker: None,
        dead_letters_block: false,
        bury_expired: false,
        secrets: Default::default(),
        keep_bodies: false,
        keep_attempts: Default::default(),
        signing: Default::default(),
        active: true,
        auth: Ok(Auth::default()),
    })
}

fn inactive(queue: &Queue) -> Arc<Queue> {
    Arc::new(Queue {
        active: false,
        ..queue.clone()
    })
}

fn row(id: MessageId, due_at: i64) -> Candidate {
    Candidate {
        id,
        due_at: Timestamp(due_at),
        attempt: 0,
        attempts_before: 0,
        deaths: 0,
        size: 1,
        expires_at: None,
        ordering_key: None,
    }
}

/// Every receiver has proven that it gives slots back.
fn trust_all(scheduler: &mut Scheduler) {
    for lane in scheduler.lanes.values_mut() {
        lane.trust.answered(u32::MAX, Timestamp(0));
    }
}

fn answer(rows: &[Candidate]) -> Answer<'_> {
    Answer {
        rows,
        next_due: None,
        heads: &[],
    }
}

fn first(scheduler: &mut Scheduler, now: Timestamp) -> Fetch {
    scheduler.plan(now).swap_remove(0)
}

fn after(fetch: &Fetch) -> Cursor {
    fetch.range.expect("a range").after
}

fn limit(fetch: &Fetch) -> u32 {
    fetch.range.map_or(0, |range| range.limit)
}

fn loaded(slots: usize, queues: &[Arc<Queue>]) -> Scheduler {
    let mut scheduler = Scheduler::new(slots, None);
    for queue in queues {
        scheduler.load_queue(Arc::clone(queue), Timestamp(0));
    }
    trust_all(&mut scheduler);
    scheduler
}

#[test]
fn nothing_due_means_nothing_to_do() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    assert_eq!(scheduler.next_wake(), None);
    assert_eq!(scheduler.plan(Timestamp(0)), []);
}

#[test]
fn future_row_wakes_at_its_time_and_not_before() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(50));
    assert_eq!(scheduler.next_wake(), Some(Timestamp(50)));
    assert_eq!(scheduler.plan(Timestamp(49)), []);
    let fetches = scheduler.plan(Timestamp(50));
    assert_eq!(fetches.len(), 1);
    assert_eq!(after(&fetches[0]), Cursor::before(Timestamp::MIN));
}

#[test]
fn late_commit_of_an_earlier_row_moves_the_cursor_back_and_skips_what_is_in_flight() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(20));
    let fetch = first(&mut scheduler, Timestamp(30));
    let sent = scheduler.admit(&fetch, answer(&[row(7, 20)]), Timestamp(30));
    assert_eq!(sent, [Admission::Send(7)]);
    scheduler.note_due(1, Timestamp(10));
    let again = first(&mut scheduler, Timestamp(31));
    assert_eq!(after(&again), Cursor::before(Timestamp(10)));
    let sent = scheduler.admit(&again, answer(&[row(6, 10), row(7, 20)]), Timestamp(31));
    assert_eq!(sent, [Admission::Send(6)]);
}

#[test]
fn queue_never_exceeds_its_own_limit() {
    let mut scheduler = loaded(100, &[queue(1, 3, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(limit(&fetch), 3);
    scheduler.admit(&fetch, answer(&[row(1, 0), row(2, 0), row(3, 0)]), Timestamp(1));
    assert_eq!(scheduler.plan(Timestamp(1)), []);
    scheduler.release(2, None);
    assert_eq!(limit(&first(&mut scheduler, Timestamp(1))), 1);
}

#[test]
fn slots_are_shared_between_a_long_and_a_short_queue() {
    let mut scheduler = loaded(10, &[queue(1, 100, 3), queue(2, 100, 3)]);
    scheduler.note_due(1, Timestamp(0));
    scheduler.note_due(2, Timestamp(0));
    let limits: Vec<u32> = scheduler.plan(Timestamp(1)).iter().map(limit).collect();
    assert_eq!(limits, [5, 4]);
}

/// Lets every queue take what it gets, each from a backlog of its own.
fn take_all(scheduler: &mut Scheduler, next_id: &mut MessageId) {
    while scheduler.next_wake() == Some(Timestamp::MIN) {
        let fetches = scheduler.plan(Timestamp(1));
        if fetches.is_empty() {
            return;
        }
        for fetch in fetches {
            let rows: Vec<_> = (0..limit(&fetch))
                .map(|n| row(*next_id + i64::from(n), 0))
                .collect();
            *next_id += 1_000;
            scheduler.admit(&fetch, answer(&rows), Timestamp(1));
        }
    }
}

#[test]
fn queue_that_is_answered_gets_its_slots_beside_thirty_that_hang() {
    let queues: Vec<_> = (1..=31).map(|id| queue(id, 64, 3)).collect();
    let mut scheduler = Scheduler::new(256, None);
    for queue in &queues {
        scheduler.load_queue(Arc::clone(queue), Timestamp(0));
        scheduler.note_due(queue.id, Timestamp(0));
    }
    let mut next_id = 1;
    scheduler
        .plan(Timestamp(0))
        .iter()
        .for_each(|fetch| scheduler.unread(fetch));
    for _ in 0..20 {
        take_all(&mut scheduler, &mut next_id);
        let answered = scheduler
            .ids_in_flight()
            .filter(|id| scheduler.queue_of(*id) == Some(31));
        let Some(id) = answered.min() else { break };
        scheduler.observe(id, &Outcome::Accepted { status: 200 }, Timestamp(1), Timestamp(1));
        scheduler.release(id, None);
    }
    take_all(&mut scheduler, &mut next_id);
    let of_good = scheduler
        .ids_in_flight()
        .filter(|id| scheduler.queue_of(*id) == Some(31));
    assert!(of_good.count() >= 60);
}

#[test]
fn full_slots_sleep_until_a_result_comes() {
    let mut scheduler = loaded(1, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[row(1, 0)]), Timestamp(1));
    assert_eq!(scheduler.next_wake(), None);
    scheduler.release(1, None);
    assert_eq!(scheduler.next_wake(), Some(Timestamp::MIN));
}

#[test]
fn paused_queue_is_not_read_and_goes_on_where_it_was() {
    let policy = queue(1, 4, 3);
    let mut scheduler = loaded(8, &[Arc::clone(&policy)]);
    scheduler.load_queue(inactive(&policy), Timestamp(0));
    scheduler.note_due(1, Timestamp(0));
    assert_eq!(scheduler.next_wake(), None);
    scheduler.load_queue(policy, Timestamp(0));
    assert_eq!(scheduler.plan(Timestamp(1)).len(), 1);
}

#[test]
fn note_of_an_unknown_queue_is_told_once_and_read_after_loading() {
    let mut scheduler = loaded(8, &[]);
    scheduler.note_due(5, Timestamp(3));
    assert_eq!(scheduler.take_unknown(), [5]);
    assert!(scheduler.take_unknown().is_empty());
    scheduler.load_queue(queue(5, 4, 3), Timestamp(0));
    assert_eq!(scheduler.plan(Timestamp(3)).len(), 1);
}

#[test]
fn failed_fetch_is_planned_again() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.unread(&fetch);
    assert_eq!(scheduler.next_wake(), Some(Timestamp::MIN));
    assert_eq!(scheduler.plan(Timestamp(1)), [fetch]);
}

#[test]
fn note_during_a_fetch_is_not_lost() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.note_due(1, Timestamp(1));
    scheduler.admit(&fetch, answer(&[row(1, 0)]), Timestamp(1));
    assert_eq!(scheduler.plan(Timestamp(1)).len(), 1);
}

#[test]
fn redriven_message_has_a_fresh_budget_of_attempts() {
    let mut scheduler = loaded(8, &[queue(1, 4, 2)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    let redriven = Candidate {
        attempt: 2,
        attempts_before: 2,
        ..row(1, 0)
    };
    scheduler.admit(&fetch, answer(&[redriven]), Timestamp(1));
    let refused = Outcome::Refused {
        status: 500,
        retry_after: None,
    };
    let verdict = scheduler.verdict(1, &refused, Timestamp(SECOND), 0.0);
    assert_eq!(verdict, Verdict::RetryAt(Timestamp(6 * SECOND)));
}

#[test]
fn probation_claims_what_was_due_at_the_start_only() {
    let start = Timestamp(100);
    let mut scheduler = Scheduler::new(8, Some(start));
    scheduler.load_queue(queue(1, 8, 3), Timestamp(0));
    trust_all(&mut scheduler);
    scheduler.note_due(1, Timestamp(90));
    let fetch = first(&mut scheduler, Timestamp(120));
    let sent = scheduler.admit(&fetch, answer(&[row(1, 90), row(2, 110)]), Timestamp(120));
    assert_eq!(sent, [Admission::ClaimAndSend(1), Admission::Send(2)]);
}

#[test]
fn suspects_are_sent_one_at_a_time_and_buried_after_three_deaths() {
    let mut scheduler = loaded(8, &[queue(1, 8, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let rows = [
        Candidate {
            deaths: 1,
            ..row(1, 0)
        },
        Candidate {
            deaths: 1,
            ..row(2, 0)
        },
        Candidate {
            deaths: 2,
            ..row(3, 0)
        },
        row(4, 0),
    ];
    let fetch = first(&mut scheduler, Timestamp(1));
    let sent = scheduler.admit(&fetch, answer(&rows), Timestamp(1));
    assert_eq!(
        sent,
        [Admission::ClaimAndSend(1), Admission::Bury(3), Admission::Send(4)]
    );
    scheduler.release(1, None);
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(after(&fetch), Cursor::before(Timestamp(0)));
    let sent = scheduler.admit(&fetch, answer(&rows[1..]), Timestamp(1));
    assert_eq!(sent, [Admission::ClaimAndSend(2)]);
}

#[test]
fn hanging_queues_always_leave_slots_for_another() {
    let queues: Vec<_> = (1..=9).map(|id| queue(id, 1000, 3)).collect();
    let mut scheduler = loaded(256, &queues);
    let mut next_id = 0;
    for hanging in 1..=8 {
        scheduler.note_due(hanging, Timestamp(0));
        for _ in 0..20 {
            for fetch in scheduler.plan(Timestamp(1)) {
                let rows: Vec<_> = (0..limit(&fetch))
                    .map(|n| row(next_id + i64::from(n), 0))
                    .collect();
                next_id += rows.len() as i64;
                scheduler.admit(&fetch, answer(&rows), Timestamp(1));
            }
        }
    }
    assert!(scheduler.in_flight() < 256);
    scheduler.note_due(9, Timestamp(1));
    let ninth = scheduler
        .plan(Timestamp(1))
        .into_iter()
        .find(|fetch| fetch.queue_id == 9);
    assert!(ninth.is_some_and(|fetch| limit(&fetch) > 0));
}

#[test]
fn large_bodies_are_bounded_by_bytes_and_go_on_after_a_release() {
    let mut scheduler = loaded(256, &[queue(1, 256, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let rows: Vec<_> = (1..=64)
        .map(|id| Candidate {
            size: 1 << 20,
            ..row(id, 0)
        })
        .collect();
    let fetch = first(&mut scheduler, Timestamp(1));
    let sent = scheduler.admit(&fetch, answer(&rows), Timestamp(1)).len();
    assert!((1..=16).contains(&sent), "{sent} MiB in flight");
    assert_eq!(scheduler.next_wake(), None, "no spinning while bytes are used up");
    scheduler.release(1, None);
    let fetch = first(&mut scheduler, Timestamp(1));
    let more = scheduler.admit(&fetch, answer(&rows[sent..]), Timestamp(1));
    assert_eq!(more.len(), 1);
}

#[test]
fn parked_message_gives_its_slot_back_and_is_passed_over() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[row(1, 0)]), Timestamp(1));
    scheduler.park(1);
    assert_eq!(scheduler.in_flight(), 0);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(scheduler.admit(&fetch, answer(&[row(1, 0)]), Timestamp(1)), []);
}

#[test]
fn accepted_answer_counts_although_the_queue_is_gone() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[row(1, 0)]), Timestamp(1));
    scheduler.drop_queue(1);
    let accepted = Outcome::Accepted { status: 200 };
    assert_eq!(
        scheduler.verdict(1, &accepted, Timestamp(2), 0.0),
        Verdict::Delivered
    );
}

#[test]
fn queue_that_failed_under_earlier_leaders_is_given_up_in_time() {
    let mut scheduler = Scheduler::new(8, None);
    scheduler.set_disable_after(Some(Duration::from_secs(100)));
    let noted = Failing::noted(Timestamp(0), Timestamp(60 * SECOND));
    scheduler.recall_failing(HashMap::from([(1, noted)]));
    scheduler.load_queue(queue(1, 8, 3), Timestamp(0));
    scheduler.note_due(1, Timestamp(0));
    let now = Timestamp(100 * SECOND);
    let fetch = first(&mut scheduler, now);
    scheduler.admit(&fetch, answer(&[row(1, 0)]), now);
    let refused = Outcome::Refused {
        status: 500,
        retry_after: None,
    };
    let notices = scheduler.observe(1, &refused, now, now);
    assert_eq!(notices, [(1, Notice::Failing(FailingChange::GiveUp))]);
}

#[test]
fn what_is_in_flight_is_told_of_each_queue_and_how_often_it_changed() {
    let mut scheduler = loaded(8, &[queue(1, 8, 3), queue(2, 8, 3)]);
    let before = scheduler.flight_changes();
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[row(1, 0), row(2, 0)]), Timestamp(1));
    scheduler.note_due(2, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[row(3, 0)]), Timestamp(1));
    assert_eq!(scheduler.in_flight_by_queue(), HashMap::from([(1, 2), (2, 1)]));
    assert_eq!(scheduler.flight_changes(), before + 3);
    scheduler.release(2, None);
    assert_eq!(scheduler.in_flight_by_queue(), HashMap::from([(1, 1), (2, 1)]));
    assert_eq!(scheduler.flight_changes(), before + 4);
}
