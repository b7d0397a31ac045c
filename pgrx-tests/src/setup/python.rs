//! Packages for Python that tests need, in folders of this checkout.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Failure, Result, checkout, command};

/// Packages, each in the one version that was tried, with all that they need.
pub struct Environment {
    /// Of the folder below that of tools.
    pub name: &'static str,
    /// As pip reads them from a file.
    pub requirements: &'static str,
    /// The folder, once this process has looked.
    pub ready: OnceLock<std::result::Result<PathBuf, String>>,
}

impl Environment {
    /// The folder of its programs; installed at first use, and anew when the checkout was moved, as programs
    /// name the place that they were installed in.
    pub fn programs(&self) -> Result<PathBuf> {
        let ready = self
            .ready
            .get_or_init(|| self.install().map_err(|failure| failure.to_string()));
        ready.clone().map_err(Failure::new)
    }

    fn install(&self) -> Result<PathBuf> {
        let folder = checkout::tools().join(self.name);
        let programs = folder.join("bin");
        let stamp = folder.join("installed.txt");
        let wanted = format!("{}\n{}", folder.display(), self.requirements);
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(programs);
        }
        println!("Installing packages for Python into {}", folder.display());
        let _ = fs::remove_dir_all(&folder);
        command::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let write = |file, text: &str| {
            fs::write(file, text)
                .map_err(|error| Failure::because("could not write below the target folder", error))
        };
        let list = folder.join("wanted.txt");
        write(&list, self.requirements)?;
        let mut pip = Command::new(programs.join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"]);
        command::output(pip.arg(&list))?;
        write(&stamp, &wanted)?;
        Ok(programs)
    }
}
