//! What docs/testing.md says of tests: each that it names exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pg_hooks_tests::checkout;

use crate::blocks::read;

/// Where tests are named after: the folder with their sources.
fn folder(place: &str) -> PathBuf {
    let root = checkout::root();
    match place {
        "domain" | "deliver" | "render" | "wake" => root.join("src").join(place),
        "simulation" => root.join("simulation"),
        "fuzz" => root.join("fuzz"),
        program => root.join("pgrx-tests/tests").join(program),
    }
}

/// All Rust sources below a folder, as one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &std::fs::read_to_string(&path).expect("a source");
        }
    }
    text
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// `place::name_of_a_test`
fn named_tests(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    quoted(text)
        .filter_map(|quote| quote.split_once("::"))
        .filter(move |(place, name)| is_word(place) && is_word(name))
}

/// Whether a function of that name is a test: its mark stands before it, and no other function in between.
fn is_test(sources: &str, name: &str) -> bool {
    sources.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let before = &sources[..at];
        before
            .rfind("#[test]")
            .is_some_and(|mark| !before[mark..].contains("fn "))
    })
}

#[test]
fn tests_that_are_named_exist() {
    let text = read("docs/testing.md");
    let mut read_already: BTreeMap<&str, String> = BTreeMap::new();
    let mut seen = 0;
    for (place, name) in named_tests(&text) {
        let sources = read_already
            .entry(place)
            .or_insert_with(|| sources(&folder(place)));
        assert!(
            is_test(sources, name),
            "there is no test {name} in {}",
            folder(place).display()
        );
        seen += 1;
    }
    assert!(seen >= 40, "only {seen} tests are named");
}

#[test]
fn rules_of_the_simulation_that_are_named_exist() {
    let text = read("docs/testing.md");
    let sources = sources(&checkout::root().join("simulation/src"));
    let rules: Vec<&str> = quoted(&text)
        .filter_map(|quote| quote.strip_prefix("rule: "))
        .collect();
    for rule in &rules {
        assert!(
            sources.contains(&format!("\"{rule}\"")),
            "the simulation has no rule {rule:?}"
        );
    }
    assert!(rules.len() >= 8, "only {} rules are named", rules.len());
}

#[test]
fn each_promise_has_its_tests() {
    let text = read("docs/testing.md");
    let promises: Vec<&str> = text
        .split("\n### ")
        .skip(1)
        .filter(|part| part.starts_with(char::is_numeric))
        .collect();
    assert_eq!(promises.len(), 8);
    for promise in promises {
        let promise = promise.split("\n## ").next().unwrap_or_default();
        let title = promise.lines().next().unwrap_or_default();
        assert!(named_tests(promise).count() >= 3, "too few tests for {title}");
    }
}

#[test]
fn what_is_no_test_is_found_out() {
    let sources = "#[test]\nfn real() {\n}\n\nfn helper() {\n}\n";
    assert!(is_test(sources, "real"));
    assert!(!is_test(sources, "helper"));
    assert!(!is_test(sources, "missing"));
    let named: Vec<_> = named_tests("`api::a_b` and `hooks.x`, `Type::new`").collect();
    assert_eq!(named, [("api", "a_b")]);
}
