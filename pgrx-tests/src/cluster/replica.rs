//! Copies of whole servers: backups, standbys, promotion, rewinding.

use std::path::Path;
use std::process::Command;

use super::settings::{Builder, Origin};
use super::{Cluster, hostile};
use crate::install::Tree;
use crate::site::run;
use crate::{Result, account, command};

impl Cluster {
    /// A cluster that begins as a base backup of this one and is a primary of its own.
    pub fn backup(&self) -> Builder {
        self.backup_with(Builder::default(), &[])
    }

    /// A cluster that follows this one as a standby, under this name.
    pub fn standby(&self, name: &str) -> Builder {
        let builder = Builder::default().setting("primary_conninfo", &self.conninfo(name));
        // The file standby.signal is made by it, too.
        self.backup_with(builder, &["--write-recovery-conf"])
    }

    fn backup_with(&self, mut builder: Builder, further: &[&str]) -> Builder {
        let connection = format!("--dbname={}", self.conninfo("backup"));
        let arguments = [&[connection.as_str(), "--checkpoint=fast", "--no-sync"], further].concat();
        builder.origin = Origin::Backup(arguments.into_iter().map(str::to_owned).collect());
        builder
    }

    /// How a standby of that name connects to this cluster.
    pub fn conninfo(&self, name: &str) -> String {
        format!(
            "host={} port={} user=postgres application_name={name}",
            self.socket_folder().display(),
            self.port()
        )
    }

    /// How a subscriber of that name connects to a database of this cluster.
    pub fn conninfo_to(&self, database: &str, name: &str) -> String {
        // As they stand within quotes.
        let options = hostile::options(hostile::SUPERUSER).unwrap_or_default();
        let options = options.replace('\\', "\\\\");
        format!("{} dbname={database} options='{options}'", self.conninfo(name))
    }

    /// Ends recovery; returns when the server can be written to.
    ///
    /// # Panics
    /// When it is no standby.
    #[track_caller]
    pub fn promote(&self) {
        run(
            &mut self.connect("postgres"),
            "select pg_catalog.pg_promote(true, 60)",
        );
    }

    /// Sets a setting for the next start.
    pub fn configure(&self, name: &str, value: &str) {
        let mut settings = self.settings.lock().expect("poisoned");
        settings.insert(name.to_owned(), value.to_owned());
    }

    /// Has this cluster, which is stopped and was the primary of `primary`, become its standby of that name.
    /// It needs `wal_log_hints`.
    pub fn rewind(&self, primary: &Cluster, name: &str) -> Result<()> {
        let mut rewind = Command::new(self.tree.program("pg_rewind"));
        rewind
            .arg("--target-pgdata")
            .arg(self.data())
            .arg(format!(
                "--source-server={} dbname=postgres",
                primary.conninfo("rewind")
            ))
            .arg("--no-sync")
            .current_dir(self.socket_folder());
        command::output(account::unprivileged(&mut rewind))?;
        self.follow(primary, name);
        Ok(())
    }

    /// Has this cluster, which is stopped, begin as a standby of `primary` at its next start.
    pub fn follow(&self, primary: &Cluster, name: &str) {
        std::fs::write(self.data().join("standby.signal"), "").expect("could not make a standby");
        // It wins over what is in this file, which pg_basebackup wrote.
        let _ = std::fs::remove_file(self.data().join("postgresql.auto.conf"));
        self.configure("primary_conninfo", &primary.conninfo(name));
    }
}

/// Takes a base backup into `folder/data`, and lets the server's user have `folder`.
pub fn back_up(tree: &Tree, folder: &Path, arguments: &[String]) -> Result<()> {
    account::hand_over(folder)?;
    let mut backup = Command::new(tree.program("pg_basebackup"));
    backup
        .arg("--pgdata")
        .arg(folder.join("data"))
        .args(arguments)
        .current_dir("/");
    command::output(account::unprivileged(&mut backup))?;
    // What it says wins over postgresql.conf, where the settings of a cluster are.
    let _ = std::fs::remove_file(folder.join("data/postgresql.auto.conf"));
    Ok(())
}
