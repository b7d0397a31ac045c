//! The short form of `cargo chaos`: each fault that needs neither root nor special tools, once.

use pg_hooks_tests::chaos::bugs::Bug;
use pg_hooks_tests::chaos::{self, Plan};

#[test]
fn every_message_ends_as_it_should_whatever_happens_meanwhile() {
    let plan = Plan::short(7);
    let report = chaos::run(&plan).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

/// The others take longer: `cargo chaos bugs`.
#[test]
fn bugs_that_are_put_in_are_found() {
    let names = ["ordering ignored", "body altered", "results not fenced"].map(str::to_owned);
    for bug in Bug::named(&names).unwrap() {
        let verdict = bug
            .try_out(7)
            .unwrap_or_else(|failure| panic!("{failure}"))
            .verdict;
        assert!(bug.is_caught(&verdict), "{}:\n{verdict}", bug.name);
    }
}
