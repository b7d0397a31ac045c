//! pgspot, which reads SQL scripts for what attackers could use.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::python::Environment;
use crate::Result;

static ENVIRONMENT: Environment = Environment {
    name: "pgspot",
    requirements: "pgspot==0.9.4\npglast==7.21\n",
    ready: OnceLock::new(),
};

/// The program, installed at first use below the target folder.
pub fn pgspot() -> Result<PathBuf> {
    Ok(ENVIRONMENT.programs()?.join("pgspot"))
}
