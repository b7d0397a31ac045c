//! Running other programs, with failures that say which one and how it ended.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::{Failure, Result, checkout};

/// `cargo`, run in the checkout with its own tools first on the path.
///
/// What an outer `cargo run` or `cargo test` says about *this* crate is removed from the environment: build
/// scripts watch some of these variables, and would run again each time the outer command changes.
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(checkout::root())
        .env("PATH", path_with_tools());
    command.env("PGRX_PG_CONFIG_PATH", checkout::pg_config());
    for (name, _) in std::env::vars_os() {
        if describes_this_crate(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

fn describes_this_crate(variable: &str) -> bool {
    const PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    const NAMES: [&str; 4] = ["CARGO", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

fn path_with_tools() -> OsString {
    let mut path = checkout::tools().join("bin").into_os_string();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

/// Runs `command` with its output going where ours goes, so that a long step shows its progress.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| cannot_start(command, error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended with {status}", line(command))))
}

/// Runs `command` quietly; its standard output without the last line end. On failure, what it complained of.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_start(command, error))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!(
            "`{}` ended with {}\n{complaint}",
            line(command),
            output.status
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn cannot_start(command: &Command, error: std::io::Error) -> Failure {
    Failure::because(format_args!("could not start `{}`", line(command)), error)
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
