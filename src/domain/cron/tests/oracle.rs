//! Schedules against the model of cron.

use chrono::{Datelike, TimeDelta};
use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Expression, Item, Written, expression, runs_of_cron};
use super::*;

/// Moments shortly before clocks change, and some when they do not.
fn places() -> impl Strategy<Value = (&'static str, Timestamp)> {
    select(vec![
        ("America/New_York", "2026-03-08T00:00"),
        ("America/New_York", "2026-11-01T00:00"),
        ("Europe/London", "2026-03-28T18:00"),
        ("Europe/London", "2026-10-24T18:00"),
        ("Australia/Lord_Howe", "2026-04-04T06:00"),
        ("Australia/Lord_Howe", "2026-10-03T06:00"),
        ("Pacific/Chatham", "2026-04-04T06:00"),
        ("Pacific/Chatham", "2026-09-26T06:00"),
        ("Pacific/Apia", "2011-12-30T00:00"),
        ("Africa/Casablanca", "2026-02-14T18:00"),
        ("Africa/Casablanca", "2026-03-21T18:00"),
        ("America/Santiago", "2026-09-05T20:00"),
        ("America/Scoresbysund", "2024-03-30T18:00"),
        ("Antarctica/Casey", "2020-10-03T06:00"),
        ("Antarctica/Casey", "2021-03-13T06:00"),
        ("Antarctica/Troll", "2026-03-28T18:00"),
        ("Antarctica/Troll", "2026-10-24T18:00"),
        ("Pacific/Kwajalein", "1993-08-21T00:00"),
        ("Antarctica/Vostok", "1994-10-31T00:00"),
        ("Antarctica/Vostok", "1994-01-31T00:00"),
        ("UTC", "2026-02-27T12:00"),
        ("America/New_York", "2027-12-30T12:00"),
    ])
    .prop_map(|(zone, moment)| (zone, at(moment)))
}

fn runs_of_ours(text: &str, zone: &Named, from: Timestamp, to: i64) -> Vec<i64> {
    preview(&schedule(text), zone, from, usize::MAX)
        .map(|run| run.unix_seconds())
        .take_while(|run| *run <= to)
        .collect()
}

const DAY: i64 = 86_400;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn runs_are_those_of_cron(
        (name, start) in places(), job in expression(false), asked in 0..DAY * 1_000_000
    ) {
        let (zone, text) = (zone(name), job.text(false));
        let asked = Timestamp(start.0 + asked);
        // A schedule that is refused has no run either.
        if text.parse::<Schedule>().is_err() {
            prop_assert_eq!(text.parse::<Schedule>(), Err(CronError::NeverFires));
            return Ok(());
        }
        let (from, to) = (start.unix_seconds(), start.unix_seconds() + 4 * DAY);
        let expected: Vec<_> = runs_of_cron(&job, &zone, from - DAY, to, 60)
            .into_iter()
            .filter(|run| *run > asked.unix_seconds())
            .collect();
        let found = runs_of_ours(&text, &zone, asked, to);
        let when = shown(asked, &zone);
        prop_assert!(found == expected, "{text} in {name} after {when}:\n{found:?}\n{expected:?}");
    }

    #[test]
    fn runs_far_away_are_those_of_cron(
        (name, start) in places(), mut job in expression(false), days in 10..300_i64
    ) {
        let zone = zone(name);
        let day = DateTime::from_timestamp_micros(start.0).unwrap().with_timezone(&zone.0);
        let next_day = day + TimeDelta::days(1);
        job.0[3].items = vec![Item::One(day.day()), Item::One(next_day.day())];
        job.0[4].items = vec![Item::One(next_day.month())];
        job.0[5].items = vec![Item::Star];
        let from = start.unix_seconds();
        let expected = runs_of_cron(&job, &zone, from - DAY, from + 2 * DAY, 60);
        let asked = Timestamp((from - days * DAY) * 1_000_000);
        let text = job.text(false);
        let found = runs_of_ours(&text, &zone, asked, from + 2 * DAY);
        let when = shown(asked, &zone);
        prop_assert!(found == expected, "{text} in {name} after {when}:\n{found:?}\n{expected:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 15, ..ProptestConfig::default() })]

    #[test]
    fn runs_with_seconds_are_those_of_a_cron_that_wakes_each_second(
        (name, start) in places(), job in expression(true), asked in 0..6 * 3_600_000_000_i64
    ) {
        let (zone, text) = (zone(name), job.text(true));
        prop_assume!(text.parse::<Schedule>().is_ok());
        let asked = Timestamp(start.0 + asked);
        let (from, to) = (start.unix_seconds(), start.unix_seconds() + 14 * 3600);
        let expected: Vec<_> = runs_of_cron(&job, &zone, from - 4 * 3600, to, 1)
            .into_iter()
            .filter(|run| *run > asked.unix_seconds())
            .collect();
        let found = runs_of_ours(&text, &zone, asked, to);
        prop_assert!(found == expected, "{} in {} after {}", text, name, shown(asked, &zone));
    }

    #[test]
    fn next_run_does_not_depend_on_when_it_is_asked((name, start) in places(), job in expression(false)) {
        let (zone, text) = (zone(name), job.text(false));
        prop_assume!(text.parse::<Schedule>().is_ok());
        let schedule = schedule(&text);
        let mut before = start;
        for run in preview(&schedule, &zone, start, 50) {
            prop_assert!(run > before);
            let middle = Timestamp(before.0 + (run.0 - before.0) / 2);
            for asked in [middle, Timestamp(before.0 + 1), Timestamp(run.0 - 1)] {
                let found = schedule.next_after(asked, &zone);
                prop_assert_eq!(found, Some(run), "{} after {}", text, shown(asked, &zone));
            }
            before = run;
        }
    }
}

#[test]
fn whole_years_agree_with_cron() {
    let jobs = [
        ("America/New_York", ["0", "*/17", "1-2", "1,8,15,22-31", "*", "6"]),
        ("Africa/Casablanca", ["0", "5", "2", "*/2", "2,3", "0,3"]),
    ];
    for (name, fields) in jobs {
        let firsts = [0, 0, 0, 1, 1, 0];
        let job = Expression(std::array::from_fn(|i| Written {
            first: firsts[i],
            items: items(fields[i]),
        }));
        let (zone, from) = (zone(name), at("2026-01-01T00:00"));
        let to = from.unix_seconds() + 365 * DAY;
        let expected = runs_of_cron(&job, &zone, from.unix_seconds(), to, 60);
        assert_eq!(
            runs_of_ours(&job.text(false), &zone, from, to),
            expected,
            "{fields:?} in {name}"
        );
    }
}

fn items(text: &str) -> Vec<Item> {
    let number = |text: &str| text.parse::<u32>().unwrap();
    let item = |item: &str| match (item, item.split_once('-'), item.split_once('/')) {
        ("*", ..) => Item::Star,
        (_, _, Some((_, step))) => Item::StarStep(number(step)),
        (_, Some((from, to)), _) => Item::Range(number(from), number(to), 1),
        _ => Item::One(number(item)),
    };
    text.split(',').map(item).collect()
}
