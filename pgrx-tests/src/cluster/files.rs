//! Files that only the server may read.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Cluster;
use crate::account;

impl Cluster {
    /// Writes a file that belongs to the server's user and is open to no other; `name` may lie in folders.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn write_private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.private(name);
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| !folder.exists())
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            std::fs::create_dir(folder).expect("could not create a folder");
            account::hand_over(folder).expect("could not give a folder to the server");
        }
        std::fs::write(&path, text).expect("could not write a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("could not close a file");
        account::hand_over(&path).expect("could not give a file to the server");
        path
    }

    /// Where [`Cluster::write_private`] writes.
    pub fn private(&self, name: &str) -> PathBuf {
        self.data().join("private").join(name)
    }
}
