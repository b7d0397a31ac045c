//! The build tool of pgrx, in the one version that fits the library's.

use crate::{Result, checkout, command};

/// The version of `pgrx` in `Cargo.toml`; the two must be equal.
const VERSION: &str = "0.18.1";

/// Installs cargo-pgrx unless this version is there already.
///
/// Below the target folder, so that another version that the user works with stays as it is. `cargo pgrx
/// init` is not needed: `PGRX_PG_CONFIG_PATH` says what to build against.
pub fn install_pinned() -> Result<()> {
    if installed_version().is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    println!(
        "Installing cargo-pgrx {VERSION} into {} (takes some minutes)",
        checkout::tools().display()
    );
    let mut install = command::cargo();
    install.args([
        "install",
        "cargo-pgrx",
        "--version",
        VERSION,
        "--locked",
        "--root",
    ]);
    command::run(install.arg(checkout::tools()))
}

fn installed_version() -> Option<String> {
    let answer = command::output(command::cargo().args(["pgrx", "--version"])).ok()?;
    Some(answer.strip_prefix("cargo-pgrx ")?.to_owned())
}
