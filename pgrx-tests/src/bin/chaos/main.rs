//! `cargo chaos`: messages against everything that can go wrong, and a checker that says what became of each.

use std::process::{Command, ExitCode, Stdio};

use pg_hooks_tests::chaos::bugs::Bug;
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
    if words.first().is_some_and(|word| word == "bugs") {
        return show_bugs(&words[1..]);
    }
    let plan = Plan::parse(words)?;
    if let Some(inner) = in_own_mounts() {
        return inner;
    }
    setup::setup()?;
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
    let mut all_caught = true;
    for bug in bugs {
        println!("--- {}", bug.name);
        let verdict = bug.try_out(SEED)?;
        let caught = bug.is_caught(&verdict);
        all_caught &= caught;
        let word = if caught { "caught" } else { "MISSED" };
        lines.push(format!("{:<36} {word}: {:?}", bug.name, verdict.counts()));
    }
    println!("\n{}", lines.join("\n"));
    Ok(all_caught)
}

/// Root can mount disks: in a namespace that goes with the program, which is why it runs itself again in one.
/// `None` where there is none to be had, or it is in one.
fn in_own_mounts() -> Option<Result<bool>> {
    if std::env::var_os(chaos::nemesis::OWN_MOUNTS).is_some() {
        return None;
    }
    let namespace = ["--mount", "--propagation", "private"];
    let mut trial = Command::new("unshare");
    trial.args(namespace).arg("true").stderr(Stdio::null());
    if !trial.status().is_ok_and(|status| status.success()) {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let mut inner = Command::new("unshare");
    inner
        .args(namespace)
        .arg(program)
        .args(std::env::args_os().skip(1));
    let status = inner.env(chaos::nemesis::OWN_MOUNTS, "1").status().ok()?;
    Some(Ok(status.success()))
}
