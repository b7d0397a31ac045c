//! Commands that the documents print, and the files that describe the project to others.

use serde_json::Value;

use crate::blocks::{blocks, documents, read};

/// Subcommands of cargo and its plug-ins that documents may use.
const SUBCOMMANDS: [&str; 4] = ["build", "install", "pgrx", "test"];

/// Names of the aliases in `.cargo/config.toml`.
fn aliases() -> Vec<String> {
    let config = read(".cargo/config.toml");
    let section = config.split_once("[alias]\n").expect("no aliases").1;
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()))
        .collect()
}

#[test]
fn cargo_commands_that_documents_print_exist() {
    let aliases = aliases();
    let mut seen = 0;
    for document in documents() {
        let shell = blocks(&document);
        let shell = shell
            .iter()
            .filter(|block| matches!(block.language.as_str(), "sh" | "console"));
        let lines = shell.flat_map(|block| block.text.lines());
        for command in lines.filter_map(|line| line.trim_start_matches("$ ").strip_prefix("cargo ")) {
            let name = command.split_whitespace().next().unwrap_or_default();
            let exists = SUBCOMMANDS.contains(&name) || aliases.iter().any(|alias| alias == name);
            assert!(exists, "{document}: cargo {name} does not exist");
            seen += 1;
        }
    }
    assert!(seen >= 2, "only {seen} commands found");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let text = read(&document);
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.contains("://") {
                let file = link.split('#').next().unwrap_or_default();
                assert!(
                    !read(&format!("./{folder}/{file}")).is_empty(),
                    "{document}: {link}"
                );
            }
        }
    }
}

/// PGXN Meta Spec 1.0.0, "Required Fields".
#[test]
fn meta_json_is_valid_and_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let meta: Value = serde_json::from_str(&read("META.json")).expect("META.json is not JSON");
    for field in [
        "name",
        "version",
        "abstract",
        "maintainer",
        "license",
        "provides",
        "meta-spec",
    ] {
        assert!(!meta[field].is_null(), "META.json has no {field}");
    }
    assert_eq!(
        (&meta["name"], &meta["version"]),
        (&"pg_hooks".into(), &version.into())
    );
    assert_eq!(meta["license"], "postgresql");
    assert_eq!(meta["meta-spec"]["version"], "1.0.0");
    let extension = &meta["provides"]["pg_hooks"];
    assert_eq!(extension["version"], version);
    for file in ["file", "docfile"] {
        assert!(!read(extension[file].as_str().unwrap()).is_empty());
    }
    assert!(
        read("CHANGELOG.md").contains(version),
        "CHANGELOG.md does not name {version}"
    );
}
