//! Released versions: the script that each one creates the extension with is kept in `sql/released` and never
//! edited again, so that tests can begin with any of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::{Failure, Result, checkout, install};

/// Version of this checkout.
pub const CURRENT: &str = env!("CARGO_PKG_VERSION");

fn folder() -> PathBuf {
    checkout::root().join("sql/released")
}

/// Where the script of a released version is.
pub fn script_file(version: &str) -> PathBuf {
    folder().join(format!("pg_hooks--{version}.sql"))
}

/// Where the script is that leads from one version to the next.
pub fn update_file(from: &str, to: &str) -> PathBuf {
    checkout::root().join(format!("sql/pg_hooks--{from}--{to}.sql"))
}

fn sums_file() -> PathBuf {
    folder().join("SHA256SUMS")
}

/// Released versions, oldest first, each with the sum of its script.
pub fn released() -> Result<Vec<(String, String)>> {
    let sums = read(&sums_file())?;
    let versions: BTreeMap<Vec<u64>, (String, String)> = sums
        .lines()
        .filter_map(|line| {
            let (sum, name) = line.split_once("  ")?;
            let version = name.strip_prefix("pg_hooks--")?.strip_suffix(".sql")?;
            Some((parts(version), (version.to_owned(), sum.to_owned())))
        })
        .collect();
    Ok(versions.into_values().collect())
}

fn parts(version: &str) -> Vec<u64> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// The script of a released version.
pub fn script(version: &str) -> Result<String> {
    read(&script_file(version))
}

fn read(file: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::because(format_args!("could not read {}", file.display()), error))
}

/// What `sha256sum` says of a text.
pub fn sum(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut sum, byte| {
            let _ = write!(sum, "{byte:02x}");
            sum
        })
}

/// What PostgreSQL reads of a script, by parts. Comments tell of lines in files, which move; and parts that do not
/// depend on each other come in the order in which they were linked.
pub fn statements(script: &str) -> Vec<String> {
    let read = |part: &str| {
        let lines = part.lines().map(str::trim_end);
        let lines: Vec<&str> = lines
            .filter(|line| !line.is_empty() && !line.starts_with("--") && !line.starts_with("/*"))
            .collect();
        lines.join("\n")
    };
    let mut parts: Vec<String> = script.split("/* </end connected objects> */").map(read).collect();
    parts.sort();
    parts
}

/// What keeps this version from being released, if anything does.
pub fn obstacle(
    versions: &[(String, String)],
    changelog: &str,
    has_update: impl Fn(&str) -> bool,
) -> Option<String> {
    if versions.iter().any(|(version, _)| version == CURRENT) {
        return Some(format!(
            "{CURRENT} is released already: raise the version in Cargo.toml and META.json"
        ));
    }
    if !changelog.contains(&format!("## [{CURRENT}]")) {
        return Some(format!("CHANGELOG.md has no section [{CURRENT}]"));
    }
    let (last, _) = versions.last()?;
    (!has_update(last)).then(|| format!("sql/pg_hooks--{last}--{CURRENT}.sql is missing"))
}

/// Keeps the script of this version for good. From then on it may not change under this number.
pub fn cut() -> Result<()> {
    let versions = released()?;
    let changelog = read(&checkout::root().join("CHANGELOG.md"))?;
    if let Some(obstacle) = obstacle(&versions, &changelog, |from| update_file(from, CURRENT).exists()) {
        return Err(Failure::new(obstacle));
    }
    let script = install::with_extension()?.install_script()?;
    let mut sums = read(&sums_file())?;
    let _ = writeln!(sums, "{}  pg_hooks--{CURRENT}.sql", sum(&script));
    let write = |file: PathBuf, text: &str| {
        std::fs::write(&file, text)
            .map_err(|error| Failure::because(format_args!("could not write {}", file.display()), error))
    };
    write(script_file(CURRENT), &script)?;
    write(sums_file(), &sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_needs_a_new_number_its_section_and_a_way_from_the_last_one() {
        let section = format!("## [{CURRENT}] - 2030-01-01");
        let earlier = vec![("0.0.1".to_owned(), String::new())];
        let same = vec![(CURRENT.to_owned(), String::new())];
        assert_eq!(obstacle(&[], &section, |_| false), None);
        assert_eq!(obstacle(&earlier, &section, |from| from == "0.0.1"), None);
        for (versions, changelog) in [
            (&same, section.as_str()),
            (&earlier, "## [Unreleased]"),
            (&earlier, &section),
        ] {
            assert!(obstacle(versions, changelog, |_| false).is_some());
        }
    }
}
