//! What the leader asks about how much there is to do.

use super::*;

fn keyed(id: MessageId, key: KeyHash) -> Candidate {
    Candidate {
        ordering_key: Some(key),
        ..row(id, 0)
    }
}

/// Admits what is due of each of these rows, at a time of one.
fn sent(scheduler: &mut Scheduler, rows: &[Candidate]) -> Vec<Admission> {
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(rows), Timestamp(1))
}

#[test]
fn nobody_waits_for_slots_while_some_are_free() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    assert!(!scheduler.is_pressed());
    assert_eq!(sent(&mut scheduler, &[row(1, 0)]), [Admission::Send(1)]);
    assert!(!scheduler.is_pressed(), "there is room, and nothing waits");
    scheduler.release(1, None);
    assert!(!scheduler.is_pressed());
}

#[test]
fn full_slots_press() {
    let mut scheduler = loaded(1, &[queue(1, 4, 3)]);
    assert_eq!(sent(&mut scheduler, &[row(1, 0)]), [Admission::Send(1)]);
    assert!(scheduler.is_pressed());
    scheduler.release(1, None);
    // It may have had more; there is none.
    assert_eq!(sent(&mut scheduler, &[]), []);
    assert!(!scheduler.is_pressed());
}

#[test]
fn queue_that_is_full_and_may_have_more_presses_although_slots_are_free() {
    let mut scheduler = loaded(8, &[queue(1, 1, 3)]);
    assert_eq!(sent(&mut scheduler, &[row(1, 0)]), [Admission::Send(1)]);
    assert!(scheduler.is_pressed());
    scheduler.drop_queue(1);
    assert!(!scheduler.is_pressed());
}

#[test]
fn next_of_a_key_may_wait_for_the_one_in_flight() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    assert_eq!(sent(&mut scheduler, &[keyed(1, 7)]), []);
    let fetch = first(&mut scheduler, Timestamp(1));
    let heads = Answer {
        heads: &[keyed(1, 7)],
        ..answer(&[])
    };
    assert_eq!(scheduler.admit(&fetch, heads, Timestamp(1)), [Admission::Send(1)]);
    assert!(scheduler.is_pressed());
    scheduler.release(1, None);
    // It is looked for what comes next in the key.
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[]), Timestamp(1));
    assert!(!scheduler.is_pressed());
}

#[test]
fn queue_that_has_its_turn_next_presses() {
    let mut scheduler = loaded(8, &[queue(1, 4, 3)]);
    scheduler.note_due(1, Timestamp(50));
    assert!(!scheduler.is_pressed(), "its time has not come");
    assert_eq!(scheduler.plan(Timestamp(49)), []);
    assert!(!scheduler.is_pressed());
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(49));
    scheduler.unread(&fetch);
    assert!(scheduler.is_pressed(), "it is to be read again");
}

#[test]
fn large_message_that_does_not_fit_presses() {
    let mut scheduler = loaded(8, &[queue(1, 8, 3), queue(2, 8, 3)]);
    let large = |id| Candidate {
        size: 17 << 20,
        ..row(id, 0)
    };
    assert_eq!(sent(&mut scheduler, &[large(1)]), [Admission::Send(1)]);
    scheduler.note_due(2, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(fetch.queue_id, 2);
    assert_eq!(scheduler.admit(&fetch, answer(&[large(2)]), Timestamp(1)), []);
    assert!(scheduler.is_pressed());
    scheduler.release(1, None);
    let fetch = first(&mut scheduler, Timestamp(2));
    assert_eq!(
        scheduler.admit(&fetch, answer(&[large(2)]), Timestamp(2)),
        [Admission::Send(2)]
    );
}

#[test]
fn attempts_are_counted_by_when_they_began() {
    let mut scheduler = loaded(8, &[queue(1, 8, 3)]);
    for (id, at) in [(1, 10), (2, 20), (3, 30)] {
        scheduler.note_due(1, Timestamp(at));
        let fetch = first(&mut scheduler, Timestamp(at));
        let admitted = scheduler.admit(&fetch, answer(&[row(id, at)]), Timestamp(at));
        assert_eq!(admitted, [Admission::Send(id)]);
    }
    let since = |at| scheduler.in_flight_since(Timestamp(at));
    assert_eq!([since(9), since(10), since(20), since(30)], [3, 2, 1, 0]);
}

#[test]
fn loaded_queue_can_be_asked_for() {
    let mut scheduler = loaded(8, &[queue(1, 8, 3)]);
    assert_eq!(scheduler.queue(1).map(|queue| queue.max_in_flight), Some(8));
    assert!(scheduler.queue(2).is_none());
    scheduler.suspend_queue(1);
    assert!(scheduler.queue(1).is_some_and(|queue| !queue.active));
    scheduler.drop_queue(1);
    assert!(scheduler.queue(1).is_none());
}
