//! `cargo chaos`: messages against everything that can go wrong, and a checker that says what became of each.

use std::process::ExitCode;

use pg_hooks_tests::chaos::bugs::Bug;
use pg_hooks_tests::chaos::{self, Plan, namespaces};
use pg_hooks_tests::{Failure, Result, install, setup};

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
    if words.first().is_some_and(|word| word == "bugs") {
        return show_bugs(&words[1..]);
    }
    let plan = Plan::parse(words)?;
    if !namespaces::has_own_mounts() {
        setup::setup()?;
    }
    if let Some(mut inner) = namespaces::again_in_own() {
        let (name, tree) = install::for_children(&install::with_extension()?);
        let status = inner.env(name, tree).status();
        return status
            .map(|status| status.success())
            .map_err(|error| Failure::because("could not run in namespaces of our own", error));
    }
    println!(
        "chaos: {} faults, {} messages, {} writers, seed {}",
        plan.faults, plan.messages, plan.writers, plan.seed
    );
    let report = chaos::run(&plan)?;
    println!("{report}");
    Ok(report.is_good())
}

/// Puts one bug after the other into the extension. Whether each is found, and nothing where there is none.
fn show_bugs(names: &[String]) -> Result<bool> {
    const SEED: u64 = 7;
    let bugs = Bug::named(names)?;
    setup::setup()?;
    let mut lines = Vec::new();
    let mut is_good = true;
    for (place, bug) in bugs.iter().enumerate() {
        println!("--- {}", bug.name);
        let report = bug.try_out(SEED)?;
        let verdict = &report.verdict;
        let caught = bug.is_caught(verdict);
        is_good &= caught;
        if !caught {
            println!("{report}");
        }
        let word = if caught { "caught" } else { "MISSED" };
        lines.push(format!("{:<36} {word}: {:?}", bug.name, verdict.counts()));
        if bugs[..place].iter().any(|other| other.shares_control_with(bug)) {
            continue;
        }
        println!("--- the same without a bug");
        let control = bug.control(SEED)?;
        is_good &= control.is_good();
        if control.is_good() {
            lines.push(format!("{:<36} nothing found", "  the same without a bug"));
        } else {
            lines.push(format!("{:<36} ACCUSED: {control}", "  the same without a bug"));
        }
    }
    println!("\n{}", lines.join("\n"));
    Ok(is_good)
}
