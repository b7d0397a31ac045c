//! The extension as `cargo pgrx package` lays it out.

use std::path::PathBuf;

use super::Variant;
use crate::{Failure, Result, checkout, command};

/// Builds in the release profile; gives the folder that mirrors the file system from its root.
///
/// All variants share what they depend on; the extension itself is compiled anew when another was built last.
pub fn build(variant: Variant) -> Result<PathBuf> {
    let (suffix, features): (&str, &[&str]) = match variant {
        Variant::Shipped => ("", &[]),
        Variant::Faulty => ("-faults", &["--features", "faults"]),
    };
    let name = format!("package-pg{}{suffix}", checkout::POSTGRES_VERSION);
    let folder = checkout::target().join(name);
    remove(&folder)?;
    let mut package = command::cargo();
    package
        .args(["pgrx", "package", "--pg-config"])
        .arg(checkout::pg_config())
        .args(features)
        .arg("--out-dir")
        .arg(&folder);
    command::run(&mut package)?;
    Ok(folder)
}

/// An older package may hold scripts that no longer exist.
fn remove(folder: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::because(
            format_args!("could not remove {}", folder.display()),
            error,
        )),
        _ => Ok(()),
    }
}
