//! What building and running the extension needs on a Debian machine that has Rust and nothing else.

mod cargo_deny;
mod cargo_measures;
mod cargo_pgrx;
mod packages;
mod python;
mod sql_linter;
mod toolchain;
mod verifiers;

pub use cargo_deny::cargo_deny;
pub use cargo_measures::{cargo_llvm_cov, cargo_mutants};
pub use sql_linter::pgspot;
pub use toolchain::add_linters;
pub use verifiers::verifiers;

use crate::Result;

/// Installs what is missing and says so; quick and silent when nothing is.
///
/// Needs root or sudo only for Debian packages. With neither, the failure is the command to run, and its
/// exit code is 2.
pub fn setup() -> Result<()> {
    packages::install_missing()?;
    cargo_pgrx::install_pinned()
}
