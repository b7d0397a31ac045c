//! The parts of the Rust toolchain that a minimal installation leaves out.

use std::process::Command;

use crate::{Result, command};

/// Adds rustfmt and clippy where they are missing.
pub fn add_linters() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if command::output(command::cargo().args([subcommand, "--version"])).is_err() {
            println!("Adding {component} to the Rust toolchain");
            command::run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}
