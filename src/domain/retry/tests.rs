use proptest::prelude::*;

use super::super::outcome::Unreachable;
use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn schedule(max_attempts: u32, delays: &[u64]) -> RetryPolicy {
    RetryPolicy {
        max_attempts,
        backoff: Backoff::Schedule(delays.iter().copied().map(seconds).collect()),
    }
}

fn exponential(min: u64, max: u64) -> RetryPolicy {
    RetryPolicy {
        max_attempts: 10,
        backoff: Backoff::Exponential {
            min: seconds(min),
            max: seconds(max),
        },
    }
}

fn refused(retry_after: Option<Duration>) -> Outcome {
    Outcome::Refused {
        status: 503,
        retry_after,
    }
}

#[test]
fn the_default_is_ten_attempts_on_the_standard_schedule() {
    let policy = RetryPolicy::default();
    let delays: Vec<u64> = (1..10)
        .map(|attempt| retry_delay(&policy, attempt, None, 0.0).as_secs())
        .collect();
    assert_eq!(
        delays,
        [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    );
    assert_eq!(
        resolve(&policy, 9, &refused(None), 0.0),
        Resolution::RetryIn(seconds(86_400))
    );
    assert_eq!(resolve(&policy, 10, &refused(None), 0.0), Resolution::Dead);
}

#[test]
fn a_short_schedule_repeats_its_last_entry_and_an_empty_one_is_the_standard() {
    for (delays, attempt, delay) in [
        (&[1, 2][..], 1, 1),
        (&[1, 2], 2, 2),
        (&[1, 2], 3, 2),
        (&[1, 2], u32::MAX, 2),
        (&[], 1, 5),
        (&[], 20, 86_400),
    ] {
        assert_eq!(
            retry_delay(&schedule(99, delays), attempt, None, 0.0),
            seconds(delay),
            "{delays:?} {attempt}"
        );
    }
}

#[test]
fn an_exponential_delay_doubles_up_to_its_maximum() {
    for (min, max, attempt, delay) in [
        (5, 60, 1, 5),
        (5, 60, 2, 10),
        (5, 60, 4, 40),
        (5, 60, 5, 60),
        (5, 60, u32::MAX, 60),
        (1, u64::MAX, 40, u64::from(u32::MAX)),
        (90, 60, 1, 60),
        (0, 60, 9, 0),
    ] {
        let policy = exponential(min, max);
        assert_eq!(
            retry_delay(&policy, attempt, None, 0.0),
            seconds(delay),
            "{policy:?} {attempt}"
        );
    }
}

#[test]
fn jitter_scales_by_a_fifth_and_never_beyond_the_maximum() {
    for (jitter, millis) in [
        (0.0, 10_000),
        (0.5, 11_000),
        (1.0, 12_000),
        (-0.5, 9_000),
        (-1.0, 8_000),
        (7.0, 12_000),
        (f64::INFINITY, 12_000),
        (f64::NEG_INFINITY, 8_000),
        (f64::NAN, 10_000),
    ] {
        let delay = retry_delay(&schedule(9, &[10]), 1, None, jitter);
        assert_eq!(delay, Duration::from_millis(millis), "{jitter}");
    }
    assert_eq!(retry_delay(&exponential(10, 10), 1, None, 1.0), seconds(10));
    assert_eq!(retry_delay(&exponential(10, 10), 1, None, -1.0), seconds(8));
}

#[test]
fn retry_after_lengthens_a_delay_and_never_shortens_it() {
    let policy = schedule(9, &[10]);
    assert_eq!(retry_delay(&policy, 1, Some(seconds(3)), 0.0), seconds(10));
    assert_eq!(retry_delay(&policy, 1, Some(seconds(30)), -1.0), seconds(30));
    assert_eq!(
        retry_delay(&exponential(1, 10), 1, Some(seconds(30)), 0.0),
        seconds(30)
    );
    assert_eq!(
        resolve(&policy, 1, &refused(Some(seconds(30))), 0.0),
        Resolution::RetryIn(seconds(30))
    );
}

#[test]
fn retry_after_never_adds_an_attempt() {
    assert_eq!(
        resolve(&schedule(3, &[10]), 3, &refused(Some(seconds(30))), 0.0),
        Resolution::Dead
    );
}

#[test]
fn every_failure_is_retried_except_one_that_cannot_be_sent() {
    let policy = schedule(3, &[10]);
    let detail = String::new;
    for (outcome, first, last) in [
        (
            Outcome::Accepted { status: 200 },
            Resolution::Delivered,
            Resolution::Delivered,
        ),
        (
            Outcome::Unbuildable { detail: detail() },
            Resolution::Dead,
            Resolution::Dead,
        ),
        (refused(None), Resolution::RetryIn(seconds(10)), Resolution::Dead),
        (
            Outcome::Unreachable {
                cause: Unreachable::Blocked,
                detail: detail(),
            },
            Resolution::RetryIn(seconds(10)),
            Resolution::Dead,
        ),
        (
            Outcome::TimedOut { after: seconds(5) },
            Resolution::RetryIn(seconds(10)),
            Resolution::Dead,
        ),
        (
            Outcome::ConnectionLost { detail: detail() },
            Resolution::RetryIn(seconds(10)),
            Resolution::Dead,
        ),
        (
            Outcome::Fault { detail: detail() },
            Resolution::RetryIn(seconds(10)),
            Resolution::Dead,
        ),
        (
            Outcome::Unauthenticated { detail: detail() },
            Resolution::RetryIn(seconds(10)),
            Resolution::Dead,
        ),
    ] {
        assert_eq!(resolve(&policy, 1, &outcome, 0.0), first, "{outcome:?}");
        assert_eq!(resolve(&policy, 2, &outcome, 0.0), first, "{outcome:?}");
        assert_eq!(resolve(&policy, 3, &outcome, 0.0), last, "{outcome:?}");
        // Lowering max_attempts catches up with messages that have had more.
        assert_eq!(resolve(&policy, 4, &outcome, 0.0), last, "{outcome:?}");
    }
}

fn any_backoff() -> impl Strategy<Value = Backoff> {
    prop_oneof![
        prop::collection::vec(any::<Duration>(), 0..5).prop_map(Backoff::Schedule),
        (any::<Duration>(), any::<Duration>()).prop_map(|(min, max)| Backoff::Exponential { min, max }),
    ]
}

proptest! {
    #[test]
    fn no_policy_overflows_or_undercuts_retry_after(
        backoff in any_backoff(),
        attempt: u32,
        retry_after: Option<Duration>,
        jitter in prop::num::f64::ANY,
    ) {
        let max = match &backoff {
            Backoff::Schedule(_) => Duration::MAX,
            Backoff::Exponential { max, .. } => *max,
        };
        let delay = retry_delay(&RetryPolicy { max_attempts: 1, backoff }, attempt, retry_after, jitter);
        let least = retry_after.unwrap_or_default();
        prop_assert!(delay >= least);
        prop_assert!(delay <= max.max(least));
    }

    #[test]
    fn a_message_that_always_fails_dies_after_exactly_max_attempts(
        max_attempts in 1_u32..50,
        retry_after: Option<Duration>,
        jitter in -1.0..=1.0,
    ) {
        let policy = schedule(max_attempts, &[1, 2, 3]);
        let outcome = refused(retry_after);
        let last = (1..100).find(|attempt| resolve(&policy, *attempt, &outcome, jitter) == Resolution::Dead);
        prop_assert_eq!(last, Some(max_attempts));
    }
}
