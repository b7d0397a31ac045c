mod steps;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::places::PLACES;
use super::plan::Plan;

fn problem(text: &str) -> Option<String> {
    Plan::parse(text).err()
}

#[test]
fn plan_names_places_and_when_they_strike() {
    let plans = [
        "",
        "record::RETRY",
        "record::RETRY:2, message::FETCH:always=22000",
        "record::RETRY:every 3=40001",
        "record::RETRY=22000",
    ];
    for plan in plans {
        assert_eq!(problem(plan), None, "{plan}");
    }
}

#[test]
fn plan_that_says_nothing_is_refused() {
    for plan in [
        "nowhere",
        "nowhere:2",
        "record::RETRY:0",
        "record::RETRY:often",
        "record::RETRY:every 0",
    ] {
        assert!(problem(plan).is_some(), "{plan}");
    }
}

/// All sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// What stands between `before` and `after`, each time.
fn between<'a>(source: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = String> + 'a {
    let parts = source.split(before).skip(1);
    parts.filter_map(move |part| Some(part.split_once(after)?.0.trim().to_owned()))
}

#[test]
fn table_lists_every_place_there_is_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for path in sources(&root) {
        if path.starts_with(root.join("fault")) {
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a source");
        let module = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        if path.starts_with(root.join("store")) {
            found.extend(between(&source, "statement!(", ",").map(|name| format!("{module}::{name}")));
        }
        let commits = between(&source, "transaction(c\"pg_hooks: ", "\"");
        found.extend(commits.map(|purpose| format!("commit: {purpose}")));
        found.extend(between(&source, "fail_if_struck(|| \"", "\""));
        for question in [
            "strike(\"",
            "strikes(\"",
            "strike_of(\"",
            "io(\"",
            "strikes_at(\"",
        ] {
            found.extend(between(&source, &format!("fault::{question}"), "\""));
        }
    }
    let listed: BTreeSet<String> = PLACES.iter().map(|place| (*place).to_owned()).collect();
    assert_eq!(listed, found);
    assert_eq!(listed.len(), PLACES.len(), "a place is listed twice");
}
