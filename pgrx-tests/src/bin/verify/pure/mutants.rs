//! `cargo verify -- mutants`: how many planted changes of `src/domain` tests notice.

use std::path::Path;

use pg_hooks_tests::{Failure, Result, command, setup};
use serde_json::Value;

use super::{NAME, make, read, tool};

/// Which changes are tried when nobody says: so many take some ten minutes.
const SHARD: &str = "0/36";

/// Tests that compare with others a million times: their seconds are better spent on more changes.
const SLOW: [&str; 4] = [
    "a_million_",
    "whole_years_",
    "runs_with_seconds_",
    "stored_headers_are_read_",
];

/// A test that has not ended by then never does.
const TIMEOUT_SECONDS: &str = "20";

/// Percent of the changes that compile which tests must notice.
const LEAST: f64 = 90.0;

/// Has cargo-mutants change `src/domain` in some of the ways that it knows, those of `MUTANTS_SHARD`, such as `3/20`:
/// every twentieth from the fourth on, so that each shard has some of every file. Unit tests and histories look for them.
pub fn mutants() -> Result<()> {
    let folder = make(NAME, &["domain"], "")?;
    let out = folder.join("mutants.out/outcomes.json");
    let shard = std::env::var("MUTANTS_SHARD").unwrap_or_else(|_| SHARD.to_owned());
    let mut mutants = tool(&setup::cargo_mutants()?, "mutants", &folder);
    mutants.args(["--in-place", "--file", "src/domain/**"]);
    mutants.args(["--sharding", "round-robin", "--shard", &shard]);
    mutants.args(["--timeout", TIMEOUT_SECONDS, "--", "--"]);
    mutants.args(SLOW.iter().flat_map(|name| ["--skip", name]));
    // What a changed rule does shows in few cases.
    mutants.env("PROPTEST_CASES", "32");
    let _ = std::fs::remove_file(&out);
    // It fails if one single change goes unnoticed; how many may is decided here.
    let ended = command::run(&mut mutants);
    let tried = Tried::read(&out).map_err(|_| {
        ended
            .err()
            .unwrap_or_else(|| Failure::new("cargo-mutants wrote nothing".to_owned()))
    })?;
    println!(
        "domain, shard {shard}: {} of {} changes noticed, {:.1} %; {} more do not compile",
        tried.noticed,
        tried.noticed + tried.missed,
        tried.percent(),
        tried.unviable
    );
    if tried.percent() < LEAST {
        return Err(Failure::new(format!(
            "tests notice less than {LEAST} % of the changes"
        )));
    }
    Ok(())
}

/// What came of changes.
#[derive(Debug, PartialEq)]
struct Tried {
    /// By a failing test, or by one that does not end.
    noticed: u64,
    missed: u64,
    unviable: u64,
}

impl Tried {
    fn read(outcomes: &Path) -> Result<Tried> {
        let outcomes = serde_json::from_str(&read(outcomes)?)
            .map_err(|error| Failure::because("the report of cargo-mutants is not what it was", error))?;
        Ok(Tried::of(&outcomes))
    }

    fn of(outcomes: &Value) -> Tried {
        let count = |name: &str| outcomes[name].as_u64().unwrap_or_default();
        Tried {
            noticed: count("caught") + count("timeout"),
            missed: count("missed"),
            unviable: count("unviable"),
        }
    }

    /// Without any it is none.
    fn percent(&self) -> f64 {
        100.0 * self.noticed as f64 / (self.noticed + self.missed).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Tried;

    #[test]
    fn tests_that_do_not_end_notice_and_what_does_not_compile_does_not_count() {
        let report = json!({ "outcomes": [], "total_mutants": 20, "missed": 2, "caught": 7, "timeout": 1, "unviable": 10 });
        let tried = Tried::of(&report);
        assert_eq!(
            tried,
            Tried {
                noticed: 8,
                missed: 2,
                unviable: 10
            }
        );
        assert_eq!(tried.percent(), 80.0);
        assert_eq!(Tried::of(&json!({})).percent(), 0.0);
    }
}
