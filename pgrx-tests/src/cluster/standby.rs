//! A second server that follows another one.

use std::process::Command;

use super::{Builder, Cluster, StopMode};
use crate::{Failure, Result, account, command};

impl Cluster {
    /// Starts a server that replicates from this one, until it is promoted.
    ///
    /// # Errors
    /// When no copy of this server can be made, or the standby does not start.
    pub fn start_standby(&self, builder: Builder) -> Result<Cluster> {
        let standby = builder.try_start()?;
        standby.stop(StopMode::Fast);
        let data = standby.data();
        std::fs::remove_dir_all(&data)
            .map_err(|error| Failure::because(format_args!("could not remove {}", data.display()), error))?;
        let mut backup = Command::new(self.tree().program("pg_basebackup"));
        backup
            .arg("-D")
            .arg(&data)
            .args(["-R", "-c", "fast", "-X", "stream", "-U", "postgres"]);
        backup
            .arg("-h")
            .arg(self.socket_folder())
            .args(["-p", &self.port().to_string()]);
        command::output(&mut backup)?;
        account::hand_over_all(&data)?;
        standby.start()?;
        Ok(standby)
    }
}
