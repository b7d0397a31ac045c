//! Errors of tidying that last: such a step rests by itself.

use pg_hooks_tests::site::Site;
use pg_hooks_tests::{Cluster, wait_until};

use crate::village::LATE;

/// A step of each part, and what looks for days.
const STEPS: [&str; 5] = [
    "history::WORK",
    "history::FORGET_HISTORY",
    "history::FORGET_DEAD_LETTERS",
    "event::FORGET_EVENTS",
    "tidy_tally::MERGE",
];

/// A step that is tried after every rescan, or twice a second, would come to that within a second or five.
const MOST: usize = 10;

const OLD: &str = "hooks.message_log_default";

#[test]
fn step_of_tidying_that_fails_for_good_stops_no_other_and_rests_longer_and_longer() {
    let cluster = Cluster::builder()
        .faulty()
        .setting("hooks.rescan_interval", "100ms")
        .setting("hooks.dead_letter_retention", "1d");
    let cluster: &'static Cluster = Box::leak(Box::new(cluster.start()));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    site.wait_until("select exists (select from hooks.worker where leader)");
    let plan: Vec<String> = STEPS.iter().map(|step| format!("{step}:always=58030")).collect();
    cluster.set_faults(&plan.join(", "));
    wait_until("every step to have failed", LATE, || {
        STEPS.iter().all(|step| cluster.strikes(step) > 0)
    });
    site.run(&format!(
        "insert into {OLD} (id, queue_id, state, attempts, created_at, due_at, finished_at)
         values (1, 1, 'cancelled', 0, '2001-01-01', '2001-01-01', '2001-01-01')"
    ));
    for round in 0..50 {
        site.run(&format!(
            "insert into hooks.idempotency_key values ('s', 'k', 1, now() - interval '1 s');
             select hooks.send('q', '{round}')"
        ));
        site.wait_until("select not exists (select from hooks.idempotency_key)");
    }
    site.settle();
    assert_eq!(site.arrived("q"), 50);
    for step in &STEPS[1..] {
        let strikes = cluster.strikes(step);
        assert!(strikes <= MOST, "{step} was tried {strikes} times");
    }
    let rests = cluster.log().matches("[PGH201]").count();
    assert!(rests <= MOST * STEPS.len(), "{rests} warnings");
    assert_eq!(site.value::<i64>(&format!("select count(*) from {OLD}")), 1);

    cluster.set_faults("");
    wait_until("what failed to be done", LATE, || {
        site.value::<bool>(&format!("select not exists (select from {OLD})"))
    });
}
