//! `cargo bench-delivery`: how fast messages are delivered, measured from outside.
//!
//! ```text
//! cargo bench-delivery                          everything, small
//! cargo bench-delivery drain 20000 100000       a backlog of so many messages
//! cargo bench-delivery latency idle             commit to arrival; also: back-to-back
//! ```

mod drain;
mod figures;
mod latency;
mod rig;

use std::process::ExitCode;

use latency::Pace;
use pg_hooks_tests::{Failure, Result, setup};
use rig::Rig;

const USAGE: &str = "usage: cargo bench-delivery [drain [COUNT]... | latency [idle | back-to-back]]";
const BACKLOG: usize = 20_000;

/// One thing to measure.
enum Task {
    Drain(usize),
    Latency(Pace),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match tasks(&arguments).and_then(|tasks| measure(&tasks)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn tasks(arguments: &[&str]) -> Result<Vec<Task>> {
    let (idle, back_to_back) = (Task::Latency(Pace::Idle), Task::Latency(Pace::BackToBack));
    match arguments {
        [] => Ok(vec![Task::Drain(BACKLOG), idle, back_to_back]),
        ["drain"] => Ok(vec![Task::Drain(BACKLOG)]),
        ["drain", counts @ ..] => counts
            .iter()
            .map(|count| parse_count(count).map(Task::Drain))
            .collect(),
        ["latency"] => Ok(vec![idle, back_to_back]),
        ["latency", "idle"] => Ok(vec![idle]),
        ["latency", "back-to-back"] => Ok(vec![back_to_back]),
        _ => Err(Failure::needs_user(USAGE)),
    }
}

fn parse_count(argument: &str) -> Result<usize> {
    match argument.parse() {
        Ok(0) | Err(_) => Err(Failure::needs_user(USAGE)),
        Ok(count) => Ok(count),
    }
}

fn measure(tasks: &[Task]) -> Result<()> {
    setup::setup()?;
    let mut rig = Rig::build()?;
    rig.describe()?;
    for task in tasks {
        match task {
            Task::Drain(count) => drain::measure(&mut rig, *count)?,
            Task::Latency(pace) => latency::measure(&mut rig, *pace)?,
        }
    }
    Ok(())
}
