//! How a cluster is configured, and the file that says so to the server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use super::server::Server;
use super::{Cluster, hostile, replica, template};
use crate::{Failure, Result, install, ports, scratch};

/// Settings by name, as they stand in `postgresql.conf`.
pub type Settings = BTreeMap<String, String>;

/// A cluster to be started.
pub struct Builder {
    settings: Settings,
    environment: Vec<(String, String)>,
    preload: bool,
    faulty: bool,
    pub(super) origin: Origin,
}

/// What the data folder of a new cluster begins as.
pub enum Origin {
    /// A copy of the template: all such clusters have the same system identifier.
    Template,
    /// Made anew, with a system identifier of its own.
    Fresh,
    /// What `pg_basebackup` takes from another cluster, by these arguments.
    Backup(Vec<String>),
}

impl Default for Builder {
    fn default() -> Self {
        let defaults = [
            // DROP EXTENSION and what a leader does first may wait for each other, until the worker gives up after
            // 100 ms. Longer than a machine stands still, so that it comes to that.
            ("deadlock_timeout", "5s"),
            ("fsync", "off"),
            ("hooks.allowed_networks", "127.0.0.0/8, ::1/128"),
            ("listen_addresses", "127.0.0.1"),
            ("log_line_prefix", "%m [%p] %b %d: "),
            ("max_prepared_transactions", "10"),
            ("max_worker_processes", "64"),
            ("shared_buffers", "16MB"),
        ];
        let settings = defaults.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Builder {
            settings: settings.into(),
            environment: Vec::new(),
            preload: true,
            faulty: false,
            origin: Origin::Template,
        }
    }
}

impl Builder {
    /// Sets one setting, ours or PostgreSQL's.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable of the environment of the server.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes a commit survive a crash of the machine, as in production. Off by default, for speed.
    #[must_use]
    pub fn durable(self) -> Self {
        self.setting("fsync", "on")
    }

    /// Leaves pg_hooks out of `shared_preload_libraries`. It is installed all the same.
    #[must_use]
    pub fn without_preload(mut self) -> Self {
        self.preload = false;
        self
    }

    /// Installs the extension with the feature `faults`: the setting `hooks.faults` has steps fail.
    #[must_use]
    pub fn faulty(mut self) -> Self {
        self.faulty = true;
        self
    }

    /// Gives the cluster a system identifier of its own, as any two servers have in the world.
    #[must_use]
    pub fn with_own_identity(mut self) -> Self {
        self.origin = Origin::Fresh;
        self
    }

    /// Starts a server that has the extension installed.
    ///
    /// # Panics
    /// When the extension cannot be built or the server does not start; the end of its log is shown.
    #[track_caller]
    pub fn start(self) -> Cluster {
        match self.try_start() {
            Ok(cluster) => cluster,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Starts a server that has the extension installed.
    pub fn try_start(mut self) -> Result<Cluster> {
        if self.preload {
            self.settings
                .entry("shared_preload_libraries".to_owned())
                .or_insert("pg_hooks".to_owned());
        }
        let tree = if self.faulty {
            install::with_faults()?
        } else {
            install::with_extension()?
        };
        self.start_on(tree)
    }

    /// Starts a server of a tree that was made before, with the extension loaded.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start_of(self, tree: install::Tree) -> Cluster {
        let builder = self.setting("shared_preload_libraries", "pg_hooks");
        match builder.start_on(tree) {
            Ok(cluster) => cluster,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Starts a server without building the extension.
    pub fn start_plain(self) -> Result<Cluster> {
        self.start_on(install::plain()?)
    }

    fn start_on(mut self, tree: install::Tree) -> Result<Cluster> {
        let folder = scratch::folder();
        let port = ports::free();
        self.settings.insert("port".to_owned(), port.to_string());
        self.settings
            .insert("unix_socket_directories".to_owned(), folder.display().to_string());
        match &self.origin {
            Origin::Template => template::copy(&tree, &folder)?,
            Origin::Fresh => template::make(&tree, &folder)?,
            Origin::Backup(arguments) => replica::back_up(&tree, &folder, arguments)?,
        }
        let cluster = Cluster {
            tree,
            folder,
            port,
            settings: Mutex::new(self.settings),
            environment: self.environment,
            server: Mutex::new(Server::default()),
        };
        cluster.start()?;
        // A copy has them from its original, and may be one that nobody can write to.
        if hostile::is_wanted() && !matches!(self.origin, Origin::Backup(_)) {
            hostile::set_for_roles(&mut cluster.connect("postgres"));
        }
        Ok(cluster)
    }
}

/// Writes the whole of `postgresql.conf`.
pub fn write(settings: &Settings, data: &Path) -> Result<()> {
    let lines = settings
        .iter()
        .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")));
    let file = data.join("postgresql.conf");
    std::fs::write(&file, lines.collect::<String>())
        .map_err(|error| Failure::because(format_args!("could not write {}", file.display()), error))
}
