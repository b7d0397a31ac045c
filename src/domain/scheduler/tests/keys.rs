//! Ordering keys: strict order within one, no delay for others, memory for what is in flight.

use super::*;

fn keyed(id: MessageId, due_at: i64, key: KeyHash) -> Candidate {
    Candidate {
        ordering_key: Some(key),
        ..row(id, due_at)
    }
}

fn heads(rows: &[Candidate]) -> Answer<'_> {
    Answer {
        heads: rows,
        ..answer(&[])
    }
}

/// The scheduler has met these rows.
fn met(rows: &[Candidate]) -> Scheduler {
    let mut scheduler = loaded(64, &[queue(1, 64, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(scheduler.admit(&fetch, answer(rows), Timestamp(1)), []);
    scheduler
}

#[test]
fn keyed_row_is_sent_when_it_was_read_as_the_first_of_its_key() {
    let mut scheduler = met(&[keyed(5, 0, 77), keyed(6, 0, 77), keyed(7, 0, 88)]);
    let fetch = first(&mut scheduler, Timestamp(1));
    let keys: Vec<KeyHash> = fetch.heads.iter().map(|head| head.key).collect();
    assert_eq!(keys, [77, 88], "each key once");
    let sent = scheduler.admit(&fetch, heads(&[keyed(5, 0, 77), keyed(7, 0, 88)]), Timestamp(1));
    assert_eq!(sent, [Admission::Send(5), Admission::Send(7)]);
    assert_eq!(scheduler.plan(Timestamp(1)), [], "the others wait");
}

#[test]
fn next_of_a_key_is_looked_for_behind_the_one_that_is_finished() {
    let mut scheduler = met(&[keyed(5, 0, 77)]);
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, heads(&[keyed(5, 0, 77)]), Timestamp(1));
    scheduler.release(5, None);
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(fetch.heads, [Head { key: 77, from: 5 }]);
    assert_eq!(fetch.range, None, "nothing else is due");
    assert_eq!(scheduler.admit(&fetch, heads(&[]), Timestamp(1)), []);
    assert_eq!(scheduler.next_wake(), None);
}

#[test]
fn retry_holds_its_key_back_and_an_earlier_message_goes_first() {
    let mut scheduler = met(&[keyed(5, 0, 77)]);
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, heads(&[keyed(5, 0, 77)]), Timestamp(1));
    // A transaction that took its id earlier commits now.
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[keyed(3, 0, 77)]), Timestamp(1));
    scheduler.release(5, Some(Timestamp(100)));
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(fetch.heads, [Head { key: 77, from: 3 }]);
    let sent = scheduler.admit(&fetch, heads(&[keyed(3, 0, 77)]), Timestamp(1));
    assert_eq!(sent, [Admission::Send(3)]);
}

#[test]
fn head_that_is_not_due_yet_wakes_at_its_time() {
    let mut scheduler = met(&[keyed(6, 0, 77)]);
    let fetch = first(&mut scheduler, Timestamp(1));
    assert_eq!(
        scheduler.admit(&fetch, heads(&[keyed(5, 50, 77)]), Timestamp(1)),
        []
    );
    assert_eq!(scheduler.next_wake(), Some(Timestamp(50)));
}

#[test]
fn keys_and_other_messages_take_turns() {
    let mut scheduler = loaded(8, &[queue(1, 1, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, answer(&[keyed(1, 0, 77)]), Timestamp(1));
    let mut ranges = 0;
    for _ in 0..10 {
        scheduler.note_due(1, Timestamp(1));
        let fetch = first(&mut scheduler, Timestamp(1));
        assert!(
            fetch.heads.len() + usize::from(fetch.range.is_some()) == 1,
            "one slot"
        );
        ranges += usize::from(fetch.range.is_some());
        scheduler.unread(&fetch);
    }
    assert_eq!(ranges, 5);
}

#[test]
fn a_million_rows_of_one_key_are_passed_in_large_steps_and_few_keys_are_held() {
    let mut scheduler = loaded(64, &[queue(1, 64, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let mut next = 1;
    let mut fetches = 0;
    while next <= 1_000_000 {
        let fetch = first(&mut scheduler, Timestamp(1));
        let rows: Vec<_> = (next..next + i64::from(limit(&fetch)))
            .map(|id| keyed(id, 0, 77))
            .collect();
        next += rows.len() as i64;
        let first_rows = [keyed(1, 0, 77)];
        let heads: &[Candidate] = if fetch.heads.is_empty() { &[] } else { &first_rows };
        scheduler.admit(
            &fetch,
            Answer {
                rows: &rows,
                next_due: None,
                heads,
            },
            Timestamp(1),
        );
        fetches += 1;
    }
    assert_eq!(scheduler.in_flight(), 1);
    assert!(fetches < 1_100, "{fetches} fetches");
}

#[test]
fn more_keys_than_may_wait_are_all_served_and_hold_back_nothing_else() {
    let mut scheduler = loaded(4, &[queue(1, 4, 3)]);
    let mut left: Vec<Candidate> = (1..=100).map(|id| keyed(id, 0, id % 50)).collect();
    left.push(row(101, 0));
    scheduler.note_due(1, Timestamp(0));
    let mut order = Vec::new();
    while let Some(fetch) = scheduler.plan(Timestamp(1)).pop() {
        let after = fetch.range.map_or(MessageId::MAX, |range| range.after.id);
        let rows: Vec<_> = left.iter().filter(|row| row.id > after).copied().collect();
        let rows = &rows[..rows.len().min(limit(&fetch) as usize)];
        let of_key = |head: &Head| {
            left.iter()
                .find(|row| row.ordering_key == Some(head.key))
                .copied()
        };
        let heads: Vec<_> = fetch.heads.iter().filter_map(of_key).collect();
        let answer = Answer {
            rows,
            next_due: None,
            heads: &heads,
        };
        for admission in scheduler.admit(&fetch, answer, Timestamp(1)) {
            order.push(admission.id());
            left.retain(|row| row.id != admission.id());
            scheduler.release(admission.id(), None);
        }
    }
    assert_eq!(order.len(), 101, "{} are left", left.len());
    let place = order.iter().position(|id| *id == 101);
    assert!(place.is_some_and(|place| place < 90), "unkeyed at {place:?}");
}

#[test]
fn parked_message_holds_its_key_back() {
    let mut scheduler = met(&[keyed(5, 0, 77)]);
    let fetch = first(&mut scheduler, Timestamp(1));
    scheduler.admit(&fetch, heads(&[keyed(5, 0, 77)]), Timestamp(1));
    scheduler.park(5);
    assert_eq!(scheduler.plan(Timestamp(1)), []);
}

/// What the table answers to a fetch at a time of one, and what is sent of it.
fn turn(scheduler: &mut Scheduler, rows: &[Candidate]) -> Option<Vec<Admission>> {
    let fetch = scheduler.plan(Timestamp(1)).pop()?;
    let place = |row: &Candidate| Cursor {
        due_at: row.due_at,
        id: row.id,
    };
    let mut read: Vec<Candidate> = Vec::new();
    if let Some(range) = fetch.range {
        read.extend(
            rows.iter()
                .filter(|row| row.due_at <= Timestamp(1) && place(row) > range.after),
        );
        read.sort_by_key(place);
        read.truncate(range.limit as usize);
    }
    let first = |head: &Head| {
        rows.iter()
            .find(|row| row.ordering_key == Some(head.key))
            .copied()
    };
    let heads: Vec<Candidate> = fetch.heads.iter().filter_map(first).collect();
    let later = rows
        .iter()
        .map(|row| row.due_at)
        .filter(|due_at| *due_at > Timestamp(1));
    let answer = Answer {
        rows: &read,
        next_due: later.min(),
        heads: &heads,
    };
    Some(scheduler.admit(&fetch, answer, Timestamp(1)))
}

#[test]
fn keys_that_wait_for_a_later_time_neither_keep_others_out_nor_the_leader_busy() {
    // Of many more keys than may be wanted at once, the first message waits for a retry and a second one is due.
    let mut rows: Vec<Candidate> = (1..=40).map(|key| keyed(key, 1000, key)).collect();
    rows.extend((1..=40).map(|key| keyed(100 + key, 0, key)));
    // Behind them are keys with nothing to wait for.
    rows.extend((41..=60).map(|key| keyed(200 + key, 0, key)));
    let mut scheduler = loaded(64, &[queue(1, 64, 3)]);
    scheduler.note_due(1, Timestamp(0));
    let mut sent = Vec::new();
    let mut turns = 0;
    while let Some(admitted) = turn(&mut scheduler, &rows) {
        sent.extend(admitted);
        turns += 1;
        assert!(turns < 100, "only {} are sent", sent.len());
    }
    sent.sort_by_key(|admission| admission.id());
    let expected: Vec<Admission> = (41..=60).map(|key| Admission::Send(200 + key)).collect();
    assert_eq!(sent, expected);
    assert_eq!(scheduler.next_wake(), Some(Timestamp(1000)));
}
