//! The short form of `cargo chaos`: each fault that needs neither root nor special tools, once.

use pg_hooks_tests::chaos::{self, Plan};

#[test]
fn every_message_ends_as_it_should_whatever_happens_meanwhile() {
    let plan = Plan::short(7);
    let report = chaos::run(&plan).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report}");
    assert!(report.is_good(), "{report}");
}
