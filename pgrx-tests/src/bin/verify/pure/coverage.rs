//! `cargo verify -- coverage`: how much of `src/domain` and `src/deliver` runs in their own tests and in histories.

use std::collections::BTreeMap;
use std::path::Path;

use pg_hooks_tests::{Failure, Result, command, setup};
use serde_json::Value;

use super::{make, read, tool};
use crate::source::server_code;

/// What is copied. `fault` is asked by I/O threads.
const PARTS: [&str; 4] = ["domain", "deliver", "fault", "fault.rs"];

/// Region coverage in percent below which the step fails.
const LEAST: [(&str, f64); 2] = [("domain", 95.0), ("deliver", 95.0)];

/// Runs the unit tests of both and the tests of the simulation, which has rules looked at after each step of `domain`,
/// and prints how many regions of each ran. Tests do not count.
pub fn coverage() -> Result<()> {
    let folder = make("coverage", &PARTS, "pub mod deliver;\nmod fault;\n")?;
    let report = folder.join("coverage.json");
    let mut cover = tool(&setup::cargo_llvm_cov()?, "llvm-cov", &folder);
    cover
        .args(["--lib", "--test", "*", "--json", "--output-path"])
        .arg(&report);
    // Those of `fault` look for places in all of `src`.
    cover.args(["--", "--skip", "fault::"]);
    command::run(&mut cover)?;
    let text = read(&report)?;
    let report = serde_json::from_str(&text)
        .map_err(|error| Failure::because("the report of cargo-llvm-cov is not what it was", error))?;
    let code = |file: &Path| read(file).map(|text| server_code(&text)).unwrap_or_default();
    judge(&regions_of(&report, &folder.join("src"), code))
}

fn judge(regions: &BTreeMap<Region, bool>) -> Result<()> {
    let mut short = Vec::new();
    for (part, least) in LEAST {
        let of_part = || {
            regions
                .iter()
                .filter(|((file, _), _)| Path::new(file).starts_with(part))
        };
        for ((file, [line, column, ..]), _) in of_part().filter(|(_, runs)| !**runs) {
            println!("  not run: src/{file}:{line}:{column}");
        }
        let (run, all) = (of_part().filter(|(_, runs)| **runs).count(), of_part().count());
        let percent = 100.0 * run as f64 / all.max(1) as f64;
        println!("{part}: {run} of {all} regions, {percent:.2} %");
        if percent < least {
            short.push(format!("{part} is below {least} %"));
        }
    }
    if short.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(short.join("; ")))
    }
}

/// Where a region begins and ends: lines and columns.
type Place = [u64; 4];

/// A region: its file below the sources, and where it is.
type Region = (String, Place);

/// Every region of code that servers run, and whether it ran. A generic function is several in the report, and the
/// library is there with its tests and without; a region runs if it does in one of them. `code` is what of a file is
/// no test, in its place.
fn regions_of(report: &Value, sources: &Path, code: impl Fn(&Path) -> String) -> BTreeMap<Region, bool> {
    let mut regions = BTreeMap::new();
    let functions = report["data"][0]["functions"].as_array().into_iter().flatten();
    for function in functions {
        for region in function["regions"].as_array().into_iter().flatten() {
            let number = |at: usize| region[at].as_u64().unwrap_or_default();
            let file = function["filenames"][number(5) as usize]
                .as_str()
                .unwrap_or_default();
            let Ok(below) = Path::new(file).strip_prefix(sources) else {
                continue;
            };
            // 0 is code; others are expansions, skipped lines and gaps.
            if number(7) == 0 {
                let place = [number(0), number(1), number(2), number(3)];
                *regions.entry((below.display().to_string(), place)).or_default() |= number(4) > 0;
            }
        }
    }
    let mut last = (String::new(), String::new());
    regions.retain(|(file, [line, ..]), _| {
        if last.0 != *file {
            last = (file.clone(), code(&sources.join(file)));
        }
        let line = last.1.lines().nth(*line as usize - 1);
        !is_of_tests(file) && line.is_some_and(|line| !line.trim().is_empty())
    });
    regions
}

fn is_of_tests(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{judge, regions_of};

    #[test]
    fn regions_count_once_and_tests_do_not_count() {
        let function = |file: &str, line: u64, runs: u64| json!({ "filenames": [file], "regions": [[line, 2, 3, 4, runs, 0, 0, 0], [5, 1, 5, 2, 0, 0, 0, 3]] });
        let functions = [
            function("/s/domain/a.rs", 1, 0),
            function("/s/domain/a.rs", 1, 7),
            function("/s/domain/b.rs", 1, 0),
            function("/s/domain/b.rs", 2, 1),
            function("/s/domain/a/tests.rs", 1, 1),
            function("/rust/core.rs", 1, 1),
        ];
        let report = json!({ "data": [{ "functions": functions }] });
        let code = |_: &Path| "code\n\n".to_owned();
        let found: Vec<_> = regions_of(&report, Path::new("/s"), code).into_iter().collect();
        let at = |file: &str| (file.to_owned(), [1, 2, 3, 4]);
        assert_eq!(found, [(at("domain/a.rs"), true), (at("domain/b.rs"), false)]);
    }

    #[test]
    fn part_that_falls_short_is_named() {
        let regions = |deliver: bool| {
            let region = |file: &str, runs| ((file.to_owned(), [1, 1, 1, 2]), runs);
            [
                region("domain/a.rs", true),
                region("deliver/a.rs", deliver),
                region("fault.rs", false),
            ]
            .into()
        };
        assert!(judge(&regions(true)).is_ok());
        assert_eq!(
            judge(&regions(false)).unwrap_err().to_string(),
            "deliver is below 95 %"
        );
    }
}
