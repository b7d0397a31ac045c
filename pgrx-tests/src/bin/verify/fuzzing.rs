//! Half a minute of libFuzzer for each target in `fuzz/`, when it is asked for: to build them takes minutes.
//!
//! Stable compilers instrument code as well as nightly ones do; only the sanitizers need the latter, and
//! `domain` and `deliver` have no unsafe code that these would look at.

use std::path::Path;
use std::process::Command;

use pg_hooks_tests::{Failure, Result, checkout, command};

/// Seconds for each target.
const SECONDS: u32 = 30;

/// What cargo-fuzz passes to the compiler, without sanitizers.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds the targets and runs each. What one makes of its corpus is left below the target folder.
pub fn run() -> Result<()> {
    let target = checkout::target().join("fuzz");
    build(&target)?;
    let corpora = checkout::root().join("fuzz/corpora");
    let mut failed = Vec::new();
    for name in targets(&corpora)? {
        println!("--- {name}");
        if fuzz(&target, &corpora, &name).is_err() {
            failed.push(name);
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(Failure::new(format!(
            "{} failed; the inputs are {}/crash-*; put them into fuzz/corpora once it is mended",
            failed.join(", "),
            target.display()
        ))),
    }
}

fn build(target: &Path) -> Result<()> {
    let mut build = command::cargo();
    build.args([
        "build",
        "--package",
        "pg_hooks_fuzz",
        "--profile",
        "fuzz",
        "--bin",
        "parsers",
    ]);
    // With a target named, the flags are not for build scripts and macros.
    build.args(["--target", &host()?]);
    build
        .arg("--target-dir")
        .arg(target)
        .env("RUSTFLAGS", INSTRUMENTED);
    command::run(&mut build)
}

fn fuzz(target: &Path, corpora: &Path, name: &str) -> Result<()> {
    let found = target.join("corpora").join(name);
    std::fs::create_dir_all(&found)
        .map_err(|error| Failure::because(format_args!("could not make {}", found.display()), error))?;
    let mut fuzz = Command::new(target.join(host()?).join("fuzz/parsers"));
    fuzz.env("FUZZ_TARGET", name);
    fuzz.arg(format!("-max_total_time={SECONDS}"));
    fuzz.arg(format!("-artifact_prefix={}/", target.display()));
    fuzz.args([
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-verbosity=0",
        "-print_final_stats=1",
    ]);
    command::run(fuzz.arg(found).arg(corpora.join(name)))
}

/// The targets, which are the folders of the corpora.
fn targets(corpora: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(corpora)
        .map_err(|error| Failure::because(format_args!("could not read {}", corpora.display()), error))?;
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

/// The target triple of this machine.
fn host() -> Result<String> {
    let about = command::output(Command::new("rustc").arg("-vV"))?;
    let line = about.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .ok_or_else(|| Failure::new("rustc -vV names no host".to_owned()))
}
