//! What `src/domain` and `src/deliver` are tested with, measured: how much of them runs in unit tests, and how many
//! planted changes these notice. Both are asked for by name, as they take long.
//!
//! Neither needs PostgreSQL, so they are copied into a crate of their own below the target folder: a changed line
//! is compiled in seconds there, and tools that plant changes leave the checkout alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use pg_hooks_tests::{Failure, Result, checkout, command, setup};
use serde_json::Value;

/// What is copied. `fault` is asked by I/O threads.
const PARTS: [&str; 4] = ["domain", "deliver", "fault", "fault.rs"];

/// Region coverage in percent below which `cargo verify -- coverage` fails: domain and deliver.
const LEAST: [(&str, f64); 2] = [("domain", 89.0), ("deliver", 89.0)];

/// Runs the unit tests of both with coverage, and prints how many regions of each run. Tests do not count.
pub fn coverage() -> Result<()> {
    let folder = make("coverage", "pub mod deliver;\npub mod domain;\nmod fault;\n")?;
    let report = folder.join("coverage.json");
    let mut cover = tool(&setup::cargo_llvm_cov()?, "llvm-cov", &folder);
    cover.args(["--lib", "--json", "--output-path"]).arg(&report);
    // Those of `fault` look for places in all of `src`.
    cover.args(["--", "domain::", "deliver::"]);
    command::run(&mut cover)?;
    let text = read(&report)?;
    let report = serde_json::from_str(&text)
        .map_err(|error| Failure::because("the report of cargo-llvm-cov is not what it was", error))?;
    let regions = regions_of(&report, &folder.join("src"));
    let mut short = Vec::new();
    for (part, least) in LEAST {
        let of_part = || {
            regions
                .iter()
                .filter(|((file, _), _)| Path::new(file).starts_with(part))
        };
        let (run, all) = (of_part().filter(|(_, runs)| **runs).count(), of_part().count());
        let percent = 100.0 * run as f64 / all.max(1) as f64;
        println!("{part}: {run} of {all} regions, {percent:.2} %");
        if percent < least {
            short.push(format!("{part} is below {least} %"));
        }
    }
    for ((file, [line, column, ..]), _) in regions.iter().filter(|(_, runs)| !**runs) {
        println!("  not run: src/{file}:{line}:{column}");
    }
    if short.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(short.join("; ")))
    }
}

/// Has cargo-mutants change `src/domain` in all the ways that it knows, or those of `MUTANTS_SHARD`, such as `0/20`.
pub fn mutants() -> Result<()> {
    let folder = make("pg_hooks_simulation", "")?;
    add_simulation(&folder)?;
    let mut mutants = tool(&setup::cargo_mutants()?, "mutants", &folder);
    mutants.args(["--in-place", "--timeout", "60"]);
    mutants.args(["--file", "src/domain/**"]);
    if let Ok(shard) = std::env::var("MUTANTS_SHARD") {
        mutants.args(["--sharding", "round-robin", "--shard", &shard]);
    }
    command::run(&mut mutants)
}

/// The histories in `simulation` notice changes as well.
fn add_simulation(folder: &Path) -> Result<()> {
    let simulation = checkout::root().join("simulation");
    let mut copy = Command::new("cp");
    copy.arg("-r")
        .args(["src", "tests", "build.rs"].map(|part| simulation.join(part)))
        .arg(folder);
    command::output(&mut copy)?;
    let library = folder.join("src/lib.rs");
    let text = read(&library)?;
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("#[path"))
        .map(|line| format!("{line}\n"));
    std::fs::write(&library, lines.collect::<String>())
        .and_then(|()| std::fs::remove_file(folder.join("src/main.rs")))
        .map_err(|error| Failure::because(format_args!("could not write {}", library.display()), error))
}

fn tool(program: &Path, subcommand: &str, folder: &Path) -> Command {
    let mut tool = Command::new(program);
    tool.arg(subcommand).current_dir(folder);
    tool
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::because(format_args!("could not read {}", file.display()), error))
}

/// The crate, made anew. What it needs is what the extension needs, without pgrx.
fn make(name: &str, library: &str) -> Result<PathBuf> {
    let folder = checkout::target().join(name);
    let failed = |error| Failure::because(format_args!("could not write {}", folder.display()), error);
    let sources = folder.join("src");
    let _ = std::fs::remove_dir_all(&sources);
    std::fs::create_dir_all(&sources).map_err(failed)?;
    for part in PARTS {
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .arg(checkout::root().join("src").join(part))
            .arg(&sources);
        command::output(&mut copy)?;
    }
    let manifest = read(&checkout::root().join("Cargo.toml"))?;
    std::fs::write(folder.join("Cargo.toml"), without_pgrx(name, &manifest)).map_err(failed)?;
    std::fs::write(sources.join("lib.rs"), library).map_err(failed)?;
    std::fs::copy(checkout::root().join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
    Ok(folder)
}

fn without_pgrx(name: &str, manifest: &str) -> String {
    let dependencies = manifest
        .split_once("\n[dependencies]")
        .map_or("", |(_, rest)| rest);
    let dependencies = dependencies.split("\n[profile").next().unwrap_or_default();
    let dependencies = dependencies.lines().filter(|line| !line.starts_with("pgrx "));
    format!(
        "[workspace]\n\n[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [features]\nfaults = []\nfuzzing = []\n\n[dependencies]\n{}\n",
        dependencies.collect::<Vec<_>>().join("\n")
    )
}

/// Where a region begins and ends: lines and columns.
type Place = [u64; 4];

/// Every region of code that is no test, by file below the sources, and whether it ran. A generic function is several
/// in the report; a region runs if it does in one of them.
fn regions_of(report: &Value, sources: &Path) -> BTreeMap<(String, Place), bool> {
    let mut regions = BTreeMap::new();
    let functions = report["data"][0]["functions"].as_array().into_iter().flatten();
    for function in functions.filter(|function| !is_of_tests(function)) {
        for region in function["regions"].as_array().into_iter().flatten() {
            let number = |at: usize| region[at].as_u64().unwrap_or_default();
            let file = function["filenames"][number(5) as usize]
                .as_str()
                .unwrap_or_default();
            let Ok(file) = Path::new(file).strip_prefix(sources) else {
                continue;
            };
            // 0 is code; others are expansions, skipped lines and gaps.
            if number(7) == 0 {
                let place = [number(0), number(1), number(2), number(3)];
                *regions.entry((file.display().to_string(), place)).or_default() |= number(4) > 0;
            }
        }
    }
    regions
}

/// By the name of the function and of its file.
fn is_of_tests(function: &Value) -> bool {
    let name = function["name"].as_str().unwrap_or_default();
    let file = function["filenames"][0].as_str().unwrap_or_default();
    name.contains("5tests") || file.contains("/tests/") || file.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{regions_of, without_pgrx};

    #[test]
    fn regions_count_once_and_tests_do_not_count() {
        let function = |name: &str, file: &str, runs: u64| json!({ "name": name, "filenames": [file], "regions": [[1, 2, 3, 4, runs, 0, 0, 0], [5, 1, 5, 2, 0, 0, 0, 3]] });
        let functions = [
            function("_Rx6domain1f", "/s/domain/a.rs", 0),
            function("_Rx6domain1f", "/s/domain/a.rs", 7),
            function("_Rx6domain1g", "/s/domain/b.rs", 0),
            function("_Rx6domain5tests1f", "/s/domain/b.rs", 1),
            function("_Rx6domain1h", "/s/domain/a/tests.rs", 1),
            function("_Rx4core1h", "/rust/core.rs", 1),
        ];
        let report = json!({ "data": [{ "functions": functions }] });
        let found: Vec<_> = regions_of(&report, Path::new("/s")).into_iter().collect();
        let at = |file: &str| (file.to_owned(), [1, 2, 3, 4]);
        assert_eq!(found, [(at("domain/a.rs"), true), (at("domain/b.rs"), false)]);
    }

    #[test]
    fn manifest_has_no_pgrx() {
        let manifest = "x\n[dependencies]\npgrx = \"1\"\nhttp = \"1\"\n\n[dev-dependencies]\nrcgen = \"0\"\n\n[profile.dev]\ny";
        let made = without_pgrx("coverage", manifest);
        assert!(made.contains("http") && made.contains("rcgen"));
        assert!(!made.contains("pgrx") && !made.contains("[profile"));
    }
}
