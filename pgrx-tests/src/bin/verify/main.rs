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

use pg_hooks_tests::{command, install, setup};
use report::Report;

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
        let simulate = [
            "--profile",
            "fuzz",
            "--package",
            "pg_hooks_simulation",
            "--bin",
            "simulate",
        ];
        command::run(cargo("run").args(simulate))
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
    report.step_if_named("coverage", pure::coverage);
    report.step_if_named("mutants", pure::mutants);
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
        let mut tests = with_tree(cargo("test"));
        report.tests(
            "server-tests",
            tests.args(["--no-fail-fast", "--package", "pg_hooks_tests"]),
        );
        // Everything once more, on servers whose settings would break a worker that followed them.
        let mut hostile = with_tree(cargo("test"));
        hostile.env("PG_HOOKS_HOSTILE", "1");
        report.tests_if_named(
            "hostile-tests",
            hostile.args(["--no-fail-fast", "--package", "pg_hooks_tests", "--tests"]),
        );
        let demo = ["--package", "pg_hooks_tests", "--bin", "demo", "--", "--once"];
        report.step("demo", || command::run(with_tree(cargo("run")).args(demo)));
        // Every measurement, tiny: that all of them work and lose nothing, not how fast anything is.
        let smoke = ["--package", "pg_hooks_tests", "--bin", "bench", "--", "smoke"];
        report.step("bench-smoke", || {
            command::run(with_tree(cargo("run")).args(smoke))
        });
        let chaos = |words: &[&str]| {
            let program = ["--package", "pg_hooks_tests", "--bin", "chaos", "--"];
            command::run(with_tree(cargo("run")).args(program).args(words))
        };
        report.long_step("chaos", || chaos(&["faults=60", "messages=20000"]));
        report.long_step("chaos-bugs", || chaos(&["bugs"]));
    }
}

fn cargo(subcommand: &str) -> Command {
    let mut cargo = command::cargo();
    cargo.arg(subcommand);
    cargo
}
