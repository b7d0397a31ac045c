//! A relocated PostgreSQL: the system's programs, libraries and data files, plus our extension.
//!
//! PostgreSQL looks for its libraries and data files relative to the real path of its executable, so the
//! programs are copies; everything else is a link to the system's file.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files;
use crate::{Failure, Result, checkout, command};

/// A PostgreSQL installation below a folder of ours.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
    system: System,
}

/// Where the system's PostgreSQL keeps its files, as `pg_config` says.
#[derive(Clone, Debug)]
struct System {
    programs: PathBuf,
    libraries: PathBuf,
    shared: PathBuf,
}

impl Tree {
    /// A tree that was laid out before.
    pub fn open(root: PathBuf) -> Result<Tree> {
        Ok(Tree {
            root,
            system: System::ask()?,
        })
    }

    /// Makes the tree at `root`, unless it is there and the system's PostgreSQL has not changed since.
    pub fn lay_out(root: PathBuf) -> Result<Tree> {
        let tree = Tree::open(root)?;
        let stamp = tree.system.stamp()?;
        let current = std::fs::read_to_string(tree.stamp_file()).is_ok_and(|old| old == stamp);
        if !(current && tree.is_ours()) {
            tree.lay_out_anew(&stamp).map_err(|error| {
                Failure::because(format_args!("could not make {}", tree.root.display()), error)
            })?;
        }
        Ok(tree)
    }

    fn lay_out_anew(&self, stamp: &str) -> io::Result<()> {
        if self.root.exists() {
            std::fs::remove_dir_all(&self.root)?;
        }
        files::create_folder(&self.root)?;
        let System {
            programs,
            libraries,
            shared,
        } = &self.system;
        files::copy_programs(programs, &self.inside(programs))?;
        files::link_entries(libraries, &self.inside(libraries))?;
        files::link_entries(shared, &self.inside(shared))?;
        let extensions = shared.join("extension");
        std::fs::remove_file(self.inside(&extensions))?;
        files::link_entries(&extensions, &self.inside(&extensions))?;
        std::fs::write(self.stamp_file(), stamp)
    }

    /// The name is guessable and its folder open to all: nobody else may have made it.
    fn is_ours(&self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        std::fs::metadata(&self.root).is_ok_and(|metadata| metadata.uid() == own)
    }

    /// Puts the files of `package`, a folder that mirrors the file system, in their places.
    pub fn add(&self, package: &Path) -> Result<()> {
        let place_all = || -> io::Result<()> {
            for file in files::walk(package)? {
                files::replace(&package.join(&file), &self.root.join(&file))?;
            }
            Ok(())
        };
        place_all().map_err(|error| Failure::because("could not install the extension", error))
    }

    /// A tree at `root`, which is new, that has the extension of this one and these further scripts.
    pub fn with_scripts(&self, root: PathBuf, scripts: &[(String, String)]) -> Result<Tree> {
        let other = Tree::lay_out(root)?;
        let extensions = self.system.shared.join("extension");
        let place_all = || -> io::Result<()> {
            for folder in [&self.system.libraries, &extensions] {
                for file in files::entries(&self.inside(folder))? {
                    let name = file.file_name().unwrap_or_default();
                    if name.to_string_lossy().starts_with("pg_hooks") {
                        files::replace(&file, &other.inside(folder).join(name))?;
                    }
                }
            }
            scripts
                .iter()
                .try_for_each(|(name, text)| std::fs::write(other.inside(&extensions).join(name), text))
        };
        place_all().map_err(|error| Failure::because("could not install further scripts", error))?;
        Ok(other)
    }

    /// The script that creates the extension, as it was generated for this version.
    pub fn install_script(&self) -> Result<String> {
        let name = format!("pg_hooks--{}.sql", env!("CARGO_PKG_VERSION"));
        let file = self.inside(&self.system.shared).join("extension").join(name);
        std::fs::read_to_string(&file)
            .map_err(|error| Failure::because(format_args!("could not read {}", file.display()), error))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of one of PostgreSQL's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.inside(&self.system.programs).join(name)
    }

    /// Where an empty data folder is kept for [`crate::cluster`] to copy.
    pub fn template(&self) -> PathBuf {
        self.root.join("template")
    }

    fn inside(&self, system_path: &Path) -> PathBuf {
        self.root
            .join(system_path.strip_prefix("/").unwrap_or(system_path))
    }

    fn stamp_file(&self) -> PathBuf {
        self.root.join("made-from")
    }
}

impl System {
    fn ask() -> Result<System> {
        let ask =
            |what: &str| command::output(Command::new(checkout::pg_config()).arg(what)).map(PathBuf::from);
        Ok(System {
            programs: ask("--bindir")?,
            libraries: ask("--pkglibdir")?,
            shared: ask("--sharedir")?,
        })
    }

    /// Changes whenever the server's program does.
    fn stamp(&self) -> Result<String> {
        let server = self.programs.join("postgres");
        let metadata = std::fs::metadata(&server)
            .map_err(|error| Failure::because(format_args!("could not read {}", server.display()), error))?;
        Ok(format!(
            "{} {} {}",
            server.display(),
            metadata.len(),
            metadata.mtime()
        ))
    }
}
