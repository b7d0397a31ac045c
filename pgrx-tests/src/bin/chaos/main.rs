//! `cargo chaos`: messages against everything that can go wrong, and a checker that says what became of each.

use std::process::ExitCode;

use pg_hooks_tests::chaos::{self, Plan};
use pg_hooks_tests::{Failure, Result, setup};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match act(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.report(),
    }
}

/// Whether all is well.
fn act(words: &[String]) -> Result<bool> {
    if words.first().is_some_and(|word| word == "help") {
        return Err(Failure::needs_user(Plan::USAGE));
    }
    let plan = Plan::parse(words)?;
    setup::setup()?;
    println!(
        "chaos: {} faults, {} messages, {} writers, seed {}",
        plan.faults, plan.messages, plan.writers, plan.seed
    );
    let report = chaos::run(&plan)?;
    println!("{report}");
    Ok(report.is_good())
}
