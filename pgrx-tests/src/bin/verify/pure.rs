//! What `src/domain` and `src/deliver` are tested with, measured: how much of them runs in tests, and how many planted
//! changes these notice.
//!
//! Neither needs PostgreSQL, so they are copied into a crate of their own below the target folder, and the histories of
//! `simulation` with them: a changed line is compiled in seconds there, and tools that plant changes leave the checkout
//! alone.

mod coverage;
mod mutants;

pub use coverage::coverage;
pub use mutants::mutants;

use std::path::{Path, PathBuf};
use std::process::Command;

use pg_hooks_tests::{Failure, Result, checkout, command};

/// What the tests of `simulation` call the crate.
const NAME: &str = "pg_hooks_simulation";

/// Compiled fast, and what it needs once and well.
const SETTINGS: &str = r#"
[lints.rust]
unexpected_cfgs = "allow"

[profile.dev]
debug = false

[profile.dev.package."*"]
opt-level = 2
"#;

fn tool(program: &Path, subcommand: &str, folder: &Path) -> Command {
    let mut tool = Command::new(program);
    tool.arg(subcommand).current_dir(folder);
    tool
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::because(format_args!("could not read {}", file.display()), error))
}

/// The crate in a folder below the target folder, made anew: these parts of the extension, of which `modules` are to be
/// compiled besides `domain`, and the simulation. What it needs is what the extension needs, without pgrx.
fn make(folder: &str, parts: &[&str], modules: &str) -> Result<PathBuf> {
    let folder = checkout::target().join(folder);
    let failed = |error| Failure::because(format_args!("could not write {}", folder.display()), error);
    for part in ["src", "tests"] {
        let _ = std::fs::remove_dir_all(folder.join(part));
    }
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let simulation = checkout::root().join("simulation");
    copy(
        ["src", "tests", "build.rs"].map(|part| simulation.join(part)),
        &folder,
    )?;
    let sources = folder.join("src");
    let of_extension = parts.iter().map(|part| checkout::root().join("src").join(part));
    copy(of_extension, &sources)?;
    let library = sources.join("lib.rs");
    let text = in_its_place(&read(&library)?) + modules;
    let manifest = without_pgrx(&read(&checkout::root().join("Cargo.toml"))?);
    std::fs::write(&library, text).map_err(failed)?;
    std::fs::remove_file(sources.join("main.rs")).map_err(failed)?;
    std::fs::write(folder.join("Cargo.toml"), manifest).map_err(failed)?;
    std::fs::copy(checkout::root().join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
    Ok(folder)
}

fn copy(what: impl IntoIterator<Item = PathBuf>, into: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    // Times of change say what to compile again.
    copy.args(["--recursive", "--preserve=timestamps"])
        .args(what)
        .arg(into);
    command::output(&mut copy).map(drop)
}

/// The library of the simulation, with `domain` beside it.
fn in_its_place(library: &str) -> String {
    let lines = library.lines().filter(|line| !line.starts_with("#[path"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn without_pgrx(manifest: &str) -> String {
    let dependencies = manifest
        .split_once("\n[dependencies]")
        .map_or("", |(_, rest)| rest);
    let dependencies = dependencies.split("\n[profile").next().unwrap_or_default();
    let dependencies = dependencies.lines().filter(|line| !line.starts_with("pgrx "));
    format!(
        "[workspace]\n\n[package]\nname = \"{NAME}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [lib]\ndoctest = false\n\n[features]\nfaults = []\nfuzzing = []\n\n[dependencies]\n{}\n{SETTINGS}",
        dependencies.collect::<Vec<_>>().join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::{in_its_place, without_pgrx};

    #[test]
    fn manifest_has_no_pgrx() {
        let manifest = "x\n[dependencies]\npgrx = \"1\"\nhttp = \"1\"\n\n[dev-dependencies]\nrcgen = \"0\"\n\n[profile.dev]\ny";
        let made = without_pgrx(manifest);
        assert!(made.contains("http") && made.contains("rcgen"));
        assert!(!made.contains("pgrx") && !made.contains("\ny"));
    }

    #[test]
    fn library_finds_the_copy() {
        let library = "#[path = \"../../src/domain/mod.rs\"]\npub mod domain;\n";
        assert_eq!(in_its_place(library), "pub mod domain;\n");
    }
}
