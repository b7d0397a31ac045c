//! Cron itself, as a model: it wakes up once a minute and does what `cron.c` does.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

/// One item of a field: how it is written, and independently of that what it matches.
#[derive(Clone, Debug)]
pub enum Item {
    Star,
    StarStep(u32),
    One(u32),
    From(u32, u32),
    Range(u32, u32, u32),
}

impl Item {
    fn text(&self) -> String {
        match self {
            Item::Star => "*".to_owned(),
            Item::StarStep(step) => format!("*/{step}"),
            Item::One(value) => value.to_string(),
            Item::From(from, step) => format!("{from}/{step}"),
            Item::Range(from, to, 1) => format!("{from}-{to}"),
            Item::Range(from, to, step) => format!("{from}-{to}/{step}"),
        }
    }

    fn matches(&self, value: u32, first: u32) -> bool {
        match *self {
            Item::Star => true,
            Item::StarStep(step) => (value - first).is_multiple_of(step),
            Item::One(one) => value == one,
            Item::From(from, step) => value >= from && (value - from).is_multiple_of(step),
            Item::Range(from, to, step) => {
                (from..=to).contains(&value) && (value - from).is_multiple_of(step)
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct Written {
    pub first: u32,
    pub items: Vec<Item>,
}

impl Written {
    fn text(&self) -> String {
        self.items.iter().map(Item::text).collect::<Vec<_>>().join(",")
    }

    fn starred(&self) -> bool {
        self.text().starts_with('*')
    }

    fn matches(&self, value: u32) -> bool {
        self.items.iter().any(|item| item.matches(value, self.first))
    }
}

/// A field with values from `first` to `last`; `stars` times as often `*` as anything else.
fn field(first: u32, last: u32, stars: u32) -> impl Strategy<Value = Written> {
    let (value, step) = (first..=last, 1..=last - first + 1);
    let item = prop_oneof![
        4 => value.clone().prop_map(Item::One),
        1 => step.clone().prop_map(Item::StarStep),
        1 => (value.clone(), step.clone()).prop_map(|(from, step)| Item::From(from, step)),
        2 => (value.clone(), value, 1..=4_u32).prop_map(|(a, b, step)| Item::Range(a.min(b), a.max(b), step)),
    ];
    let items = prop_oneof![
        stars => Just(vec![Item::Star]),
        1 => proptest::collection::vec(item, 1..4),
    ];
    items.prop_map(move |items| Written { first, items })
}

/// Hours that clocks skip and repeat, mostly.
fn hours() -> impl Strategy<Value = Written> {
    let at_night = subsequence(vec![0, 1, 2, 3, 4, 21, 23], 1..4)
        .prop_map(|hours| hours.into_iter().map(Item::One).collect::<Vec<_>>())
        .prop_map(|items| Written { first: 0, items });
    prop_oneof![2 => at_night, 1 => field(0, 23, 1)]
}

/// Seconds (if any), minute, hour, day of month, month, day of week.
#[derive(Clone, Debug)]
pub struct Expression(pub [Written; 6]);

pub fn expression(seconds: bool) -> impl Strategy<Value = Expression> {
    let second = if seconds {
        field(0, 59, 1).boxed()
    } else {
        Just(zero()).boxed()
    };
    (
        second,
        field(0, 59, 1),
        hours(),
        field(1, 31, 4),
        field(1, 12, 8),
        field(0, 6, 4),
    )
        .prop_map(|(second, minute, hour, day, month, weekday)| {
            Expression([second, minute, hour, day, month, weekday])
        })
}

fn zero() -> Written {
    Written {
        first: 0,
        items: vec![Item::One(0)],
    }
}

impl Expression {
    pub fn text(&self, seconds: bool) -> String {
        let from = usize::from(!seconds);
        self.0[from..]
            .iter()
            .map(Written::text)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn wild(&self) -> bool {
        self.0[..3].iter().any(Written::starred)
    }

    /// `find_jobs` of `cron.c`, at a number of seconds that clocks show.
    fn found(&self, wall: i64) -> bool {
        let wall = DateTime::from_timestamp(wall, 0).unwrap();
        let [second, minute, hour, day, month, weekday] = &self.0;
        let in_month = day.matches(wall.day());
        let in_week = weekday.matches(wall.weekday().num_days_from_sunday());
        let on_day = if day.starred() || weekday.starred() {
            in_month && in_week
        } else {
            in_month || in_week
        };
        second.matches(wall.second())
            && minute.matches(wall.minute())
            && hour.matches(wall.hour())
            && month.matches(wall.month())
            && on_day
    }
}

/// What `main` of `cron.c` starts between `from` and `to` when it wakes up each `unit` seconds, 60 for
/// cron; moments when it starts the same job more than once are there once.
pub fn runs_of_cron(job: &Expression, zone: &Named, from: i64, to: i64, unit: i64) -> Vec<i64> {
    let three_hours = 3 * 3600 / unit;
    let clock = |at: i64| (at + i64::from(zone.utc_offset(Timestamp(at * 1_000_000)))).div_euclid(unit);
    let mut runs = BTreeSet::new();
    let mut virtual_time = clock(from);
    for at in (from + unit..=to).step_by(unit as usize) {
        let time_running = clock(at);
        let found = |time: i64| job.found(time * unit);
        let difference = time_running - virtual_time;
        let jumped = difference > three_hours || difference <= -three_hours;
        let starts = if difference == 1 || jumped {
            virtual_time = time_running;
            found(time_running)
        } else if difference > 1 {
            let skipped = virtual_time + 1..=time_running;
            virtual_time = time_running;
            if job.wild() {
                found(time_running)
            } else {
                skipped.clone().any(found)
            }
        } else {
            job.wild() && found(time_running)
        };
        if starts {
            runs.insert(at);
        }
    }
    runs.into_iter().collect()
}
