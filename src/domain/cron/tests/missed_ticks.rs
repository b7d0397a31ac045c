use std::cell::Cell;

use proptest::prelude::*;

use super::*;

const ALL: [MissedPolicy; 3] = [MissedPolicy::Skip, MissedPolicy::Once, MissedPolicy::All];

fn ticks(text: &str, last: &str, now: &str, policy: MissedPolicy, limit: usize) -> Vec<(String, bool)> {
    let utc = zone("UTC");
    missed(&schedule(text), &utc, at(last), at(now), policy, limit)
        .into_iter()
        .map(|tick| (shown(tick.at, &utc)[..19].to_owned(), tick.late))
        .collect()
}

#[track_caller]
fn assert_ticks(found: Vec<(String, bool)>, expected: &[(&str, bool)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(at, late)| ((*at).to_owned(), *late))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn tick_that_has_just_come_runs_on_time_under_every_policy() {
    for policy in ALL {
        let found = ticks(
            "0 * * * *",
            "2026-01-01T01:00",
            "2026-01-01T02:00:00.000300Z",
            policy,
            10,
        );
        assert_ticks(found, &[("2026-01-01T02:00:00", false)]);
        assert_ticks(
            ticks("0 * * * *", "2026-01-01T01:00", "2026-01-01T01:59:59", policy, 10),
            &[],
        );
        assert_ticks(
            ticks("0 * * * *", "2026-01-01T03:00", "2026-01-01T02:30", policy, 10),
            &[],
        );
    }
}

#[test]
fn tick_is_on_time_within_its_minute_and_until_the_next() {
    let run = |text, now| ticks(text, "2026-01-01T01:30", now, MissedPolicy::Once, 10);
    assert_ticks(
        run("0 * * * *", "2026-01-01T02:00:59.999999Z"),
        &[("2026-01-01T02:00:00", false)],
    );
    assert_ticks(
        run("0 * * * *", "2026-01-01T02:01:00"),
        &[("2026-01-01T02:00:00", true)],
    );
    assert_ticks(
        run("every 1 second", "2026-01-01T02:00:00.5Z"),
        &[("2026-01-01T02:00:00", false)],
    );
}

#[test]
fn skip_runs_nothing_late() {
    assert_ticks(
        ticks(
            "0 * * * *",
            "2026-01-01T00:00",
            "2026-01-01T05:30",
            MissedPolicy::Skip,
            10,
        ),
        &[],
    );
    let found = ticks(
        "0 * * * *",
        "2026-01-01T00:00",
        "2026-01-01T05:00:30",
        MissedPolicy::Skip,
        10,
    );
    assert_ticks(found, &[("2026-01-01T05:00:00", false)]);
}

#[test]
fn once_runs_the_latest() {
    assert_eq!(MissedPolicy::default(), MissedPolicy::Once);
    let found = ticks(
        "0 * * * *",
        "2026-01-01T00:00",
        "2026-01-01T05:30",
        MissedPolicy::Once,
        0,
    );
    assert_ticks(found, &[("2026-01-01T05:00:00", true)]);
}

#[test]
fn all_runs_the_latest_up_to_the_limit() {
    let run = |limit| {
        ticks(
            "0 * * * *",
            "2026-01-01T00:00",
            "2026-01-01T03:00:05",
            MissedPolicy::All,
            limit,
        )
    };
    let three = [
        ("2026-01-01T01:00:00", true),
        ("2026-01-01T02:00:00", true),
        ("2026-01-01T03:00:00", false),
    ];
    assert_ticks(run(10), &three);
    assert_ticks(run(3), &three);
    assert_ticks(run(2), &three[1..]);
    assert_ticks(run(0), &[]);
}

#[test]
fn runs_of_a_repeated_hour_are_told_apart() {
    let new_york = zone("America/New_York");
    let missed_in = |text: &str| {
        let (last, now) = (at("2026-11-01T04:30"), at("2026-11-01T07:30"));
        let ticks = missed(&schedule(text), &new_york, last, now, MissedPolicy::All, 2);
        ticks
            .into_iter()
            .map(|tick| shown(tick.at, &new_york))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        missed_in("@hourly"),
        ["2026-11-01T01:00:00-05:00", "2026-11-01T02:00:00-05:00"]
    );
    assert_eq!(
        missed_in("0 1,2 * * *"),
        ["2026-11-01T01:00:00-04:00", "2026-11-01T02:00:00-05:00"]
    );
}

#[test]
fn years_of_downtime_take_bounded_work() {
    struct Counting(Cell<usize>);
    impl Zone for Counting {
        fn utc_offset(&self, _: Timestamp) -> i32 {
            self.0.set(self.0.get() + 1);
            0
        }
    }
    let (last, now) = (Timestamp::MIN, at("2026-12-31T12:00"));
    for text in [
        "* * * * * *",
        "* * * * 1 *",
        "*/5 * * * *",
        "@yearly",
        "0 0 29 2 */7",
    ] {
        for (policy, limit) in [(MissedPolicy::Once, 0), (MissedPolicy::All, 20)] {
            let zone = Counting(Cell::new(0));
            let ticks = missed(&schedule(text), &zone, last, now, policy, limit);
            assert!(!ticks.is_empty());
            let most = 600 * (ticks.len() + 1);
            assert!(zone.0.get() < most, "{text}: {} look-ups", zone.0.get());
        }
    }
    let every = missed(
        &schedule("every 1 second"),
        &zone("UTC"),
        last,
        now,
        MissedPolicy::All,
        3,
    );
    let seconds: Vec<i64> = every
        .iter()
        .map(|tick| now.since(tick.at).as_secs() as i64)
        .collect();
    assert_eq!(seconds, [2, 1, 0]);
}

proptest! {
    #[test]
    fn ticks_are_the_last_runs(
        text in prop::sample::select(vec![
            "*/7 * * * *", "30 1 * * *", "30 2 * * *", "0 */5 * * 1", "5,35 1-3 * * *", "@weekly",
            "every 100 minutes",
        ]),
        start in 1_772_000_000_i64..1_796_000_000, days in 0_i64..30, limit in 0_usize..40
    ) {
        let (schedule, zone) = (schedule(text), zone("America/New_York"));
        let (last, now) = (Timestamp(start * 1_000_000), Timestamp((start + days * 86_400) * 1_000_000));
        let all: Vec<_> = preview(&schedule, &zone, last, usize::MAX).take_while(|run| *run <= now).collect();
        let found: Vec<_> = missed(&schedule, &zone, last, now, MissedPolicy::All, limit)
            .into_iter()
            .map(|tick| tick.at)
            .collect();
        prop_assert_eq!(&found, &all[all.len().saturating_sub(limit)..]);
    }
}
