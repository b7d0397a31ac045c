//! What receivers verify signatures with: libraries for Python, in a folder of this checkout.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Failure, Result, checkout, command};

/// Each in the one version that was tried, with all that it needs.
const REQUIREMENTS: &str = include_str!("verifiers.txt");

/// The Python that has them, installed at first use.
pub fn verifiers() -> Result<PathBuf> {
    static PYTHON: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| install().map_err(|failure| failure.to_string()));
    python.clone().map_err(Failure::new)
}

fn install() -> Result<PathBuf> {
    let folder = checkout::tools().join("verifiers");
    let python = folder.join("bin/python");
    let stamp = folder.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(python);
    }
    println!(
        "Installing Python libraries that verify signatures into {}",
        folder.display()
    );
    let _ = std::fs::remove_dir_all(&folder);
    command::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let list = folder.join("wanted.txt");
    let write = |file, text| {
        std::fs::write(file, text)
            .map_err(|error| Failure::because("could not write below the target folder", error))
    };
    write(&list, REQUIREMENTS)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command::output(
        pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"])
            .arg(&list),
    )?;
    write(&stamp, REQUIREMENTS)?;
    Ok(python)
}
