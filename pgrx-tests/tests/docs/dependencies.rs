//! The list of crates in docs/security.md, compared with Cargo.toml.

use std::collections::BTreeSet;

use crate::blocks::read;

/// Crates that Cargo.toml names for the extension itself.
fn depended_on() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let section = manifest
        .split_once("\n[dependencies]\n")
        .expect("no dependencies")
        .1;
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| Some(line.split_once(" = ")?.0.trim().to_owned()))
        .filter(|name| !name.starts_with('#'))
        .collect()
}

/// Crates in the first column of the table.
fn listed() -> BTreeSet<String> {
    let security = read("docs/security.md");
    let section = security.split_once("\n## Dependencies\n").expect("no section").1;
    let lines = section.lines().take_while(|line| !line.starts_with("## "));
    let cells = lines.filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells
        .flat_map(|cell| cell.split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn every_dependency_is_listed_with_what_it_is_for() {
    assert_eq!(listed(), depended_on());
    assert!(listed().len() > 10);
}
