//! A history that breaks a rule is cut down to what it takes, and says how to run it again.

use pg_hooks_simulation::{
    Broken, History, Simpler, Simulation, attempt, campaign, history, keep_quiet, rule, shrink,
};

/// Numbers whose sum must stay small, and one that must not come after another.
struct Sums;

#[derive(Clone, Debug, PartialEq)]
struct Number(u32);

#[derive(Clone, Debug, PartialEq)]
struct Limit(u32);

impl Simpler for Number {
    fn simpler(&self) -> Vec<Number> {
        if self.0 == 0 {
            Vec::new()
        } else {
            vec![Number(0), Number(self.0 / 2), Number(self.0 - 1)]
        }
    }
}

impl Simpler for Limit {
    fn simpler(&self) -> Vec<Limit> {
        if self.0 == 50 { Vec::new() } else { vec![Limit(50)] }
    }
}

impl Simulation for Sums {
    type Setup = Limit;
    type Event = Number;
    const NAME: &'static str = "sums";

    fn make_up(seed: u64) -> History<Limit, Number> {
        let mut random = fastrand::Rng::with_seed(seed);
        History {
            setup: Limit(60),
            events: (0..20).map(|_| Number(random.u32(..7))).collect(),
        }
    }

    fn run(limit: &Limit, numbers: &[Number]) -> u64 {
        rule!(!numbers.contains(&Number(77)), "no number is 77");
        let sum: u32 = numbers.iter().map(|number| number.0).sum();
        rule!(sum < limit.0, "the sum stays below the limit", "{sum}");
        numbers.len() as u64
    }
}

fn broken_seed() -> (u64, Broken) {
    keep_quiet();
    campaign::run::<Sums>(0, 10_000, 2, |_| {})
        .broken
        .expect("some seed breaks a rule")
}

#[test]
fn broken_rule_is_told_with_what_was_found() {
    let (seed, broken) = broken_seed();
    assert_eq!(broken.rule, "the sum stays below the limit");
    let history = Sums::make_up(seed);
    let sum: u32 = history.events.iter().map(|number| number.0).sum();
    assert!(broken.found.starts_with(&format!("{sum} (")), "{}", broken.found);
}

#[test]
fn nothing_can_be_left_out_of_what_is_left() {
    let (seed, broken) = broken_seed();
    let history = shrink::<Sums>(Sums::make_up(seed), &broken);
    assert_eq!(history.setup, Limit(50));
    let sum: u32 = history.events.iter().map(|number| number.0).sum();
    assert_eq!(sum, 50, "{history:?}");
}

#[test]
fn another_rule_that_breaks_on_the_way_is_not_taken_for_the_first() {
    keep_quiet();
    let mut events = vec![Number(77)];
    events.extend([Number(3), Number(40)]);
    let broken = attempt::<Sums>(&Limit(50), &events).expect_err("77 is there");
    let history = shrink::<Sums>(
        History {
            setup: Limit(60),
            events,
        },
        &broken,
    );
    assert_eq!(history.events, [Number(77)]);
}

#[test]
fn history_is_printed_as_a_test() {
    let history = History {
        setup: Limit(50),
        events: vec![Number(3), Number(47)],
    };
    let printed = history::as_test::<Sums>(&history, "seed_7");
    let expected = "#[test]\nfn seed_7() {\n    sums(\n        Limit(50),\n        &[\n            Number(3),\n            \
                    Number(47),\n        ],\n    );\n}\n";
    assert_eq!(printed, expected);
}
