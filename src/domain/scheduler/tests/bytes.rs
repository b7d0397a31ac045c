//! Large messages, each of which takes what several others could have.

use super::*;

const MIB: usize = 1 << 20;

fn large(id: MessageId, mib: usize) -> Candidate {
    Candidate {
        size: mib * MIB,
        ..row(id, 0)
    }
}

/// Reads each queue that is to be read once, and sends what goes; `rows` are the due ones of each queue.
fn turn(scheduler: &mut Scheduler, rows: &[(QueueId, Vec<Candidate>)]) -> Vec<Admission> {
    let fetches = scheduler.plan(Timestamp(1));
    let of = |id: QueueId| rows.iter().find(|(queue_id, _)| *queue_id == id);
    fetches
        .iter()
        .flat_map(|fetch| {
            let due = of(fetch.queue_id).map_or(&[][..], |(_, due)| due);
            scheduler.admit(fetch, answer(due), Timestamp(1))
        })
        .collect()
}

fn noted(queues: &[Arc<Queue>]) -> Scheduler {
    let mut scheduler = loaded(256, queues);
    trust_all(&mut scheduler);
    for queue in queues {
        scheduler.note_due(queue.id, Timestamp(0));
    }
    scheduler
}

#[test]
fn message_larger_than_all_bytes_goes_beside_smaller_ones_that_never_end() {
    let mut scheduler = noted(&[queue(1, 1, 3), queue(2, 1, 3)]);
    assert_eq!(
        turn(&mut scheduler, &[(1, vec![large(1, 1)])]),
        [Admission::Send(1)]
    );
    scheduler.note_due(2, Timestamp(0));
    assert_eq!(
        turn(&mut scheduler, &[(2, vec![large(2, 20)])]),
        [Admission::Send(2)]
    );
}

#[test]
fn bytes_are_bounded_but_for_one_message() {
    let queues: Vec<_> = (1..=9).map(|id| queue(id, 8, 3)).collect();
    let mut scheduler = noted(&queues);
    let rows: Vec<_> = (1..=9)
        .map(|id| (id, (1..=8).map(|nth| large(id * 10 + nth, 5)).collect()))
        .collect();
    assert_eq!(turn(&mut scheduler, &rows).len(), 4);
    scheduler.check();
    assert_eq!(scheduler.next_wake(), None, "no spinning while bytes are used up");
}

#[test]
fn queues_whose_messages_are_larger_than_all_bytes_take_turns() {
    let mut scheduler = noted(&[queue(1, 8, 3), queue(2, 8, 3), queue(3, 8, 3)]);
    let mut rows: Vec<(QueueId, Vec<Candidate>)> = (1..=3)
        .map(|id| (id, (0..20).map(|nth| large(id * 100 + nth, 20)).collect()))
        .collect();
    let mut sent = Vec::new();
    for _ in 0..9 {
        let admitted = turn(&mut scheduler, &rows);
        assert_eq!(admitted.len(), 1, "{admitted:?} after {sent:?}");
        let id = admitted[0].id();
        sent.push(id / 100);
        for (_, due) in &mut rows {
            due.retain(|row| row.id != id);
        }
        turn(&mut scheduler, &rows);
        scheduler.release(id, None);
    }
    sent.sort_unstable();
    assert_eq!(sent, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
}

#[test]
fn claim_of_a_queue_that_is_paused_keeps_no_other_waiting() {
    let queues = [queue(1, 8, 3), queue(2, 8, 3), queue(3, 8, 3)];
    let mut scheduler = noted(&queues);
    let rows = [
        (1, vec![large(1, 20)]),
        (2, vec![large(2, 20)]),
        (3, vec![large(3, 20)]),
    ];
    assert_eq!(turn(&mut scheduler, &rows), [Admission::Send(1)]);
    scheduler.load_queue(inactive(&queues[1]), Timestamp(0));
    scheduler.release(1, None);
    assert_eq!(turn(&mut scheduler, &rows[2..]), [Admission::Send(3)]);
}

#[test]
fn claim_of_a_message_that_is_gone_keeps_no_other_waiting() {
    let mut scheduler = noted(&[queue(1, 8, 3), queue(2, 8, 3), queue(3, 8, 3)]);
    let rows = [
        (1, vec![large(1, 20)]),
        (2, vec![large(2, 20)]),
        (3, vec![large(3, 20)]),
    ];
    assert_eq!(turn(&mut scheduler, &rows), [Admission::Send(1)]);
    scheduler.release(1, None);
    let sent: Vec<_> = (0..2).flat_map(|_| turn(&mut scheduler, &rows[2..])).collect();
    assert_eq!(sent, [Admission::Send(3)]);
}

#[test]
fn large_message_that_has_expired_ends_although_bytes_are_used_up() {
    let mut scheduler = noted(&[queue(1, 1, 3), queue(2, 8, 3), queue(3, 8, 3)]);
    let rows = [(1, vec![large(1, 20)]), (2, vec![large(2, 16)])];
    assert_eq!(turn(&mut scheduler, &rows).len(), 2);
    let expired = Candidate {
        expires_at: Some(Timestamp(1)),
        ..large(3, 20)
    };
    scheduler.note_due(3, Timestamp(0));
    assert_eq!(
        turn(&mut scheduler, &[(3, vec![expired])]),
        [Admission::Expire(3)]
    );
}
