//! pgspot, which reads SQL scripts for what attackers could use.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Failure, Result, checkout, command};

/// Each in the one version that was tried, with all that it needs.
const REQUIREMENTS: [&str; 2] = ["pgspot==0.9.4", "pglast==7.21"];

/// The program, installed at first use below the target folder.
pub fn pgspot() -> Result<PathBuf> {
    static PROGRAM: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| install().map_err(|failure| failure.to_string()));
    program.clone().map_err(Failure::new)
}

fn install() -> Result<PathBuf> {
    let folder = checkout::tools().join("pgspot");
    let program = folder.join("bin/pgspot");
    let stamp = folder.join("installed.txt");
    let wanted = REQUIREMENTS.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    println!("Installing pgspot into {}", folder.display());
    let _ = std::fs::remove_dir_all(&folder);
    command::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    command::output(pip.args(REQUIREMENTS))?;
    std::fs::write(&stamp, &wanted)
        .map_err(|error| Failure::because("could not write below the target folder", error))?;
    Ok(program)
}
