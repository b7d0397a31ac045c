//! `cargo simulate seeds=10000000`: histories of so many seeds, on all cores.
//!
//! `first=n` begins with another seed than 0, `threads=n` takes so many threads, and `only=deliveries` or
//! `only=schedules` runs one of the two. A seed that breaks a rule is cut down and printed as a test.
//!
//! `cargo simulate defects` plants a defect for each rule, and fails unless the rule notices it within so many seeds.

use std::cell::Cell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pg_hooks_simulation::deliveries::Deliveries;
use pg_hooks_simulation::schedules::Schedules;
use pg_hooks_simulation::{Broken, Simulation, attempt, campaign, defects, history, keep_quiet, shrink};

/// What is run when nothing else is asked for.
const SEEDS: u64 = 10_000;

struct Arguments {
    /// Whether rules are to be seen to notice.
    defects: bool,
    seeds: u64,
    first: u64,
    threads: usize,
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!(
                "{problem}\nusage: cargo simulate [defects] [seeds=n] [first=n] [threads=n] [only=deliveries|schedules]"
            );
            return ExitCode::from(2);
        }
    };
    keep_quiet();
    let wanted = |name: &str| arguments.only.as_deref().is_none_or(|only| only == name);
    let mut well = true;
    if wanted(Deliveries::NAME) {
        well &= run::<Deliveries>(&arguments, defects::DELIVERIES);
    }
    if wanted(Schedules::NAME) {
        well &= run::<Schedules>(&arguments, defects::SCHEDULES);
    }
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        defects: false,
        seeds: SEEDS,
        first: 0,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        only: None,
    };
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        let number = || {
            let value = value.replace('_', "");
            value
                .parse::<u64>()
                .map_err(|_| format!("{name} must be a number"))
        };
        match name {
            "defects" if value.is_empty() => arguments.defects = true,
            "seeds" => arguments.seeds = number()?.max(1),
            "first" => arguments.first = number()?,
            "threads" => arguments.threads = usize::try_from(number()?).unwrap_or(1).clamp(1, 256),
            "only" if [Deliveries::NAME, Schedules::NAME].contains(&value) => {
                arguments.only = Some(value.to_owned());
            }
            _ => return Err(format!("{argument} is not known")),
        }
    }
    Ok(arguments)
}

fn run<S: Simulation>(arguments: &Arguments, cases: &'static [defects::Case]) -> bool {
    if arguments.defects {
        notice::<S>(arguments, cases)
    } else {
        simulate::<S>(arguments)
    }
}

/// Plants one defect after the other; false if a rule does not notice its own.
fn notice<S: Simulation>(arguments: &Arguments, cases: &'static [defects::Case]) -> bool {
    let began = Instant::now();
    let (mut rules, mut unnoticed) = (0, 0);
    for case in cases {
        for (rule, seed) in defects::notice::<S>(case, arguments.seeds) {
            rules += 1;
            match seed {
                Some(seed) => println!("seed {seed:>5}  {:?}: {rule}", case.defect),
                None => {
                    unnoticed += 1;
                    println!("UNNOTICED   {:?}: {rule}", case.defect);
                }
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{}: {} defects, {rules} rules, {unnoticed} unnoticed in {} seeds, {took:.1} s",
        S::NAME,
        cases.len(),
        arguments.seeds
    );
    unnoticed == 0
}

/// Runs the histories of one kind; false if one breaks a rule.
fn simulate<S: Simulation>(arguments: &Arguments) -> bool {
    let last = arguments.first.saturating_add(arguments.seeds - 1);
    let told = Cell::new(Instant::now());
    let progress = |histories: u64| {
        if told.get().elapsed() >= Duration::from_secs(10) {
            told.set(Instant::now());
            println!("{}: {histories} of {}", S::NAME, arguments.seeds);
        }
    };
    let done = campaign::run::<S>(arguments.first, last, arguments.threads, progress);
    println!(
        "{}: {} histories with {} events in {:.1} s",
        S::NAME,
        done.histories,
        done.events,
        done.took.as_secs_f64()
    );
    if let Some((seed, broken)) = &done.broken {
        explain::<S>(*seed, broken);
    }
    done.broken.is_none()
}

fn explain<S: Simulation>(seed: u64, broken: &Broken) {
    println!(
        "\nseed {seed} of {} breaks a rule: {}\n  {}\n\nCut down, for simulation/tests/regressions.rs:\n",
        S::NAME,
        broken.rule,
        broken.found
    );
    let history = shrink::<S>(S::make_up(seed), broken);
    if let Err(broken) = attempt::<S>(&history.setup, &history.events) {
        println!("// {}: {}", broken.rule, broken.found);
    }
    println!("{}", history::as_test::<S>(&history, &format!("seed_{seed}")));
    println!("cargo simulate only={} first={seed} seeds=1", S::NAME);
}
