//! `cargo verify`: everything that must hold before a change is merged, in one command.
//!
//! With arguments, only the steps so named: `cargo verify format lint`. With `--long` also those that take many
//! minutes.

mod architecture;
mod dependencies;
mod fuzzing;
mod pure;
mod report;
mod source;

use std::process::{Command, ExitCode};

use pg_hooks_tests::{account, command, install, setup, watchdog};
use report::Report;

/// For each program that starts servers, most of which take a minute or two.
const TEST_SECONDS: &str = "1800";
/// For one that repeats what it does many times.
const LONG_TEST_SECONDS: &str = "3600";

fn main() -> ExitCode {
    let mut report = Report::of(std::env::args().skip(1).collect());
    let ready = report.step("set-up", || setup::setup().and_then(|()| setup::add_linters()));
    if ready {
        check_sources(&mut report);
        check_server(&mut report);
    }
    report.finish()
}

/// Every check runs, also when an earlier one fails, so that one run shows all there is to mend.
fn check_sources(report: &mut Report) {
    report.step("format", || command::run(cargo("fmt").args(["--all", "--check"])));
    report.step("architecture", architecture::check);
    report.step("lint", || {
        let clippy = ["--workspace", "--all-targets", "--", "--deny", "warnings"];
        command::run(cargo("clippy").args(clippy))?;
        let faulty = [
            "--package",
            "pg_hooks",
            "--features",
            "faults",
            "--lib",
            "--",
            "--deny",
            "warnings",
        ];
        command::run(cargo("clippy").args(faulty))
    });
    report.tests(
        "unit-tests",
        cargo("test").args(["--no-fail-fast", "--package", "pg_hooks", "--lib"]),
    );
    report.step("simulation", || {
        command::run(&mut simulate(&[]))?;
        command::run(&mut simulate(&["defects"]))
    });
    report.tests(
        "histories",
        cargo("test").args(["--profile", "fuzz", "--package", "pg_hooks_simulation"]),
    );
    report.step("dependencies", dependencies::check);
    report.step_with_remark("advisories", dependencies::check_advisories);
    let mut mutations = cargo("test");
    mutations.env("FUZZ_SECONDS", "5");
    report.tests("fuzz-corpora", mutations.args(["--package", "pg_hooks_fuzz"]));
    // Builds everything anew, which takes minutes.
    report.step_if_named("fuzz", fuzzing::run);
    report.long_step("coverage", pure::coverage);
    report.long_step("mutants", pure::mutants);
}

/// What needs the extension installed. It is built as it is shipped, in the release profile.
fn check_server(report: &mut Report) {
    let mut ready_trees = Vec::new();
    // That with faults first: what was built last is what a developer goes on with.
    let installed = report.step("extension", || {
        ready_trees.push(install::faulty_for_children(&install::with_faults()?));
        ready_trees.push(install::for_children(&install::with_extension()?));
        Ok(())
    });
    if installed {
        let with_tree = |mut command: Command| {
            command.envs(ready_trees.clone());
            command
        };
        let tests = || {
            let mut tests = with_tree(cargo("test"));
            tests.env(watchdog::LIMIT, TEST_SECONDS);
            tests.args(["--no-fail-fast", "--package", "pg_hooks_tests"]);
            tests
        };
        report.tests("server-tests", &mut tests());
        // Once more on servers whose settings would break a worker that followed them: what sends and what reads
        // times and texts, and in the long form everything.
        let hostile = |programs: &[&str]| {
            let mut tests = tests();
            tests.env("PG_HOOKS_HOSTILE", "1").args(programs);
            tests
        };
        let some = ["--test", "delivery", "--test", "history", "--test", "triggers"];
        report.tests("hostile-some", &mut hostile(&some));
        report.long_tests("hostile-tests", &mut hostile(&["--tests"]));
        // What tests repeat a few times, or hold for seconds, as often and as long as a bad day has it.
        let more = |variable: &str, value: &str, words: &[&str]| {
            let mut tests = tests();
            tests.env(variable, value).env(watchdog::LIMIT, LONG_TEST_SECONDS);
            tests.args(words).args(["--", "--nocapture"]);
            tests
        };
        let promotions = ["--test", "failover", "promotions::"];
        report.long_tests("promotions", &mut more("PROMOTIONS", "50", &promotions));
        let drops = ["--test", "ddl", "dropping::"];
        report.long_tests("drop-cycles", &mut more("DROP_CYCLES", "200", &drops));
        let locks = ["--test", "processes", "held::"];
        report.long_tests("held-locks", &mut more("HELD_SECONDS", "60", &locks));
        let demo = ["--package", "pg_hooks_tests", "--bin", "demo", "--", "--once"];
        report.step("demo", || {
            command::run(
                with_tree(cargo("run"))
                    .env(watchdog::LIMIT, TEST_SECONDS)
                    .args(demo),
            )
        });
        // Every measurement, tiny: that all of them work and lose nothing, not how fast anything is.
        let smoke = ["--package", "pg_hooks_tests", "--bin", "bench", "--", "smoke"];
        report.step("bench-smoke", || {
            command::run(
                with_tree(cargo("run"))
                    .env(watchdog::LIMIT, TEST_SECONDS)
                    .args(smoke),
            )
        });
        let chaos = |words: &[&str]| {
            let program = ["--package", "pg_hooks_tests", "--bin", "chaos", "--"];
            command::run(with_tree(cargo("run")).args(program).args(words))
        };
        // Root can have every fault made, and is told where one is left out.
        let all: &[&str] = if account::is_root() { &["all=yes"] } else { &[] };
        report.long_step("chaos", || {
            chaos(&[&["faults=60", "messages=20000"], all].concat())
        });
        report.long_step("chaos-bugs", || chaos(&["bugs"]));
    }
}

fn simulate(words: &[&str]) -> Command {
    let mut simulate = cargo("run");
    simulate.args(["--profile", "fuzz", "--package", "pg_hooks_simulation"]);
    simulate.args(["--bin", "simulate", "--"]).args(words);
    simulate
}

fn cargo(subcommand: &str) -> Command {
    let mut cargo = command::cargo();
    cargo.arg(subcommand);
    cargo
}
