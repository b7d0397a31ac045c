//! A seed is a history, and the same one each time.

use pg_hooks_simulation::deliveries::Deliveries;
use pg_hooks_simulation::schedules::Schedules;
use pg_hooks_simulation::{Simulation, campaign};

#[test]
fn seed_makes_the_same_history_each_time() {
    for seed in 0..50 {
        let history = Deliveries::make_up(seed);
        assert_eq!(history, Deliveries::make_up(seed));
        let run = || Deliveries::run(&history.setup, &history.events);
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn every_rule_holds_in_the_first_histories() {
    let done = campaign::run::<Deliveries>(0, 299, 2, |_| {});
    assert_eq!(done.broken, None);
    assert_eq!(done.histories, 300);
    assert_eq!(campaign::run::<Schedules>(0, 299, 2, |_| {}).broken, None);
}
