//! `pg_upgrade`, from one cluster to another. PostgreSQL lets it also go to a server of the same version.

use std::process::Command;

use super::{Cluster, hostile, settings};
use crate::{Failure, Result, account};

impl Cluster {
    /// Has `new`, which is empty, become what this cluster is. Both are stopped; this one is not to be started
    /// again. Gives what the servers logged while the upgrade ran.
    ///
    /// # Errors
    /// When pg_upgrade refuses or fails, with its words.
    pub fn upgrade_to(&self, new: &Cluster) -> Result<String> {
        for cluster in [self, new] {
            settings::write(&cluster.settings.lock().expect("poisoned"), &cluster.data())?;
        }
        let mut upgrade = Command::new(new.tree.program("pg_upgrade"));
        upgrade
            .arg("--old-bindir")
            .arg(self.tree.program("postgres").with_file_name(""))
            .arg("--old-datadir")
            .arg(self.data())
            .arg("--new-datadir")
            .arg(new.data())
            .arg("--socketdir")
            .arg(&new.folder)
            .args(["--old-port", &self.port().to_string()])
            .args(["--new-port", &new.port().to_string()])
            .args(["--username", "postgres", "--retain"])
            .env(
                "PGOPTIONS",
                hostile::options(hostile::SUPERUSER).unwrap_or_default(),
            )
            .current_dir(&new.folder);
        let ended = account::unprivileged(&mut upgrade)
            .output()
            .map_err(|error| Failure::because("could not start pg_upgrade", error))?;
        let told = format!(
            "{}\n{}",
            String::from_utf8_lossy(&ended.stdout),
            logs_of_upgrade(new)
        );
        if ended.status.success() {
            return Ok(told);
        }
        Err(Failure::new(format!(
            "pg_upgrade ended with {}:\n{told}",
            ended.status
        )))
    }
}

/// What `--retain` leaves in `pg_upgrade_output.d`, all in one.
fn logs_of_upgrade(new: &Cluster) -> String {
    let mut text = String::new();
    let mut folders = vec![new.data().join("pg_upgrade_output.d")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()));
            }
        }
    }
    text
}
