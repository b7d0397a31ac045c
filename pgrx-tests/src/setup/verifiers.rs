//! What receivers verify signatures with: libraries for Python, in a folder of this checkout.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::python::Environment;
use crate::Result;

static ENVIRONMENT: Environment = Environment {
    name: "verifiers",
    requirements: include_str!("verifiers.txt"),
    ready: OnceLock::new(),
};

/// The Python that has them, installed at first use.
pub fn verifiers() -> Result<PathBuf> {
    Ok(ENVIRONMENT.programs()?.join("python"))
}
