//! Runs steps one after another and tells at the end how each went.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use pg_hooks_tests::{Failure, Result, command, limit};

/// A step that takes longer hangs, also on a machine that is slow and busy: minutes are usual.
const LIMIT: Duration = Duration::from_secs(3600);
/// For `cargo test`, of one program after the other.
const TESTS_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// For what takes many minutes, and hours where somebody asks for more of it.
const LONG_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The steps so far.
pub struct Report {
    /// Names of the steps to run; all if empty.
    wanted: Vec<String>,
    /// Whether steps that take many minutes are run as well.
    long: bool,
    steps: Vec<Step>,
    /// What the test runner said in the end, by step.
    closing_lines: Vec<String>,
}

struct Step {
    name: &'static str,
    took: Duration,
    passed: bool,
}

impl Report {
    /// A report on the steps with these names, or on all. The word `--long` adds the long ones.
    pub fn of(words: Vec<String>) -> Self {
        let (flags, wanted): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "--long");
        Report {
            wanted,
            long: !flags.is_empty(),
            steps: Vec::new(),
            closing_lines: Vec::new(),
        }
    }

    /// Runs one step if it is wanted; false if it failed. What takes too long is ended, with all that it started.
    pub fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) -> bool {
        self.limited_step(name, LIMIT, run)
    }

    fn limited_step(
        &mut self,
        name: &'static str,
        limit: Duration,
        run: impl FnOnce() -> Result<()>,
    ) -> bool {
        if !(self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == name)) {
            return true;
        }
        println!("\n=== {name}");
        let begun = Instant::now();
        let (result, in_time) = limit::within(limit, run);
        if let Err(failure) = &result {
            eprintln!("{name} failed: {failure}");
        }
        if !in_time {
            eprintln!("{name} failed: it took longer than {limit:?}");
        }
        let passed = result.is_ok() && in_time;
        self.steps.push(Step {
            name,
            took: begun.elapsed(),
            passed,
        });
        passed
    }

    /// Runs one step, and tells at the end what it has to say.
    pub fn step_with_remark(
        &mut self,
        name: &'static str,
        run: impl FnOnce() -> Result<Option<&'static str>>,
    ) {
        let mut remark = None;
        self.step(name, || {
            remark = run()?;
            Ok(())
        });
        self.closing_lines.extend(remark.map(str::to_owned));
    }

    /// Runs one step only if it is asked for by name.
    pub fn step_if_named(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) {
        if !self.wanted.is_empty() {
            self.step(name, run);
        }
    }

    /// Runs one step that takes many minutes, if it is asked for by name or all long ones are.
    pub fn long_step(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) {
        if self.long || self.wanted.iter().any(|wanted| wanted == name) {
            self.limited_step(name, LONG_LIMIT, run);
        }
    }

    /// Runs a `cargo test` and keeps its closing lines.
    pub fn tests(&mut self, name: &'static str, test: &mut Command) {
        self.limited_tests(name, TESTS_LIMIT, test);
    }

    fn limited_tests(&mut self, name: &'static str, limit: Duration, test: &mut Command) {
        let mut closing = Vec::new();
        self.limited_step(name, limit, || {
            closing = run_and_keep(test, |line| line.starts_with("test result:"))?;
            Ok(())
        });
        self.closing_lines
            .extend(closing.iter().map(|line| format!("{name}: {line}")));
    }

    /// Runs a `cargo test` that takes many minutes, if it is asked for by name or all long ones are.
    pub fn long_tests(&mut self, name: &'static str, test: &mut Command) {
        if self.long || self.wanted.iter().any(|wanted| wanted == name) {
            self.limited_tests(name, LONG_LIMIT, test);
        }
    }

    /// Prints the summary; failure if any step failed.
    pub fn finish(self) -> ExitCode {
        println!("\n=== summary");
        for line in &self.closing_lines {
            println!("{line}");
        }
        for step in &self.steps {
            let verdict = if step.passed { "ok" } else { "FAILED" };
            println!(
                "{:<14} {verdict:<7} {:>7.1} s",
                step.name,
                step.took.as_secs_f64()
            );
        }
        // A name that fits no step is a mistake, not a success.
        let passed = !self.steps.is_empty() && self.steps.iter().all(|step| step.passed);
        println!("{}", if passed { "verify: ok" } else { "verify: FAILED" });
        if passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Runs a command, passing its output on; gives the lines to keep, also of a command that fails.
fn run_and_keep(run: &mut Command, keep: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let line = command::line(run);
    let child = run.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child =
        child.map_err(|error| Failure::because(format_args!("could not start `{line}`"), error))?;
    let mut kept = Vec::new();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|output| BufReader::new(output).lines())
    {
        let Ok(line) = line else { break };
        println!("{line}");
        if keep(&line) {
            kept.push(line);
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(kept),
        Ok(status) => Err(Failure::new(format!(
            "`{line}` ended with {status}\n{}",
            kept.join("\n")
        ))),
        Err(error) => Err(Failure::because(
            format_args!("could not wait for `{line}`"),
            error,
        )),
    }
}
