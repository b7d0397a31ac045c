use super::*;

fn counts(number: u64) -> Counts {
    let mut counts = Counts {
        attempts: number,
        failed: number + 1,
        delivered: number + 2,
        dead: number + 3,
        expired: number + 4,
        ..Counts::default()
    };
    counts.latency.record(Duration::from_micros(number));
    counts.duration.record(Duration::from_millis(number));
    counts
}

fn failed(at: i64) -> Option<Failed> {
    Some(Failed {
        at: Timestamp(at),
        status: Some(500),
        class: "status",
        text: format!("failure at {at}"),
    })
}

#[test]
fn stored_form_is_read_back() {
    let mut tally = Tally::default();
    for queue_id in [1, 300, i64::MAX, -1] {
        *tally.of(queue_id) = counts(queue_id.unsigned_abs() % 1000);
    }
    assert_eq!(Tally::from_bytes(&tally.to_bytes()), Some(tally));
    assert_eq!(Tally::from_bytes(&[]), Some(Tally::default()));
}

#[test]
fn stored_form_that_is_cut_short_is_refused() {
    let mut tally = Tally::default();
    *tally.of(7) = counts(7);
    let bytes = tally.to_bytes();
    for length in 1..bytes.len() {
        assert_eq!(Tally::from_bytes(&bytes[..length]), None, "{length} bytes");
    }
}

#[test]
fn merging_adds_counts_and_keeps_the_latest_ends() {
    let mut tally = Tally::default();
    tally.of(1).attempts = 2;
    tally.of(1).last_success = Some(Timestamp(10));
    tally.of(1).last_failure = failed(5);
    let mut later = Tally::default();
    later.of(1).attempts = 3;
    later.of(1).last_success = Some(Timestamp(8));
    later.of(2).delivered = 1;
    tally.merge(&later);
    assert_eq!(tally.of(1).attempts, 5);
    assert_eq!(tally.of(1).last_success, Some(Timestamp(10)));
    assert_eq!(tally.of(1).last_failure, failed(5));
    let mut latest = Tally::default();
    latest.of(1).last_failure = failed(12);
    tally.merge(&latest);
    assert_eq!(tally.of(1).last_failure, failed(12));
    assert_eq!(tally.of(2).delivered, 1);
}

#[test]
fn all_queues_together_come_first_with_the_sums() {
    let mut tally = Tally::default();
    *tally.of(4) = counts(1);
    *tally.of(9) = counts(20);
    let listed = tally.with_all();
    let ids: Vec<_> = listed.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [ALL_QUEUES, 4, 9]);
    assert_eq!(listed[0].1.attempts, 21);
    assert_eq!(listed[0].1.duration.micros, 21_000);
    assert_eq!(listed[0].1.latency.histogram.count(), 2);
}
