//! The operating system user that servers run as: PostgreSQL refuses to run as root.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Failure, Result, command};

/// A user from `/etc/passwd`.
#[derive(Clone, Copy, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

/// Makes `command` run as the server's user: ourselves, or an unprivileged one if we are root.
///
/// With `uid` set by root, the standard library also drops the supplementary groups.
pub fn unprivileged(command: &mut Command) -> &mut Command {
    if let Some(account) = account() {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Gives a folder or file to the server's user.
pub fn hand_over(path: &Path) -> Result<()> {
    let Some(account) = account() else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid))
        .map_err(|error| Failure::because(format_args!("could not give away {}", path.display()), error))
}

/// Gives a folder and everything in it to the server's user.
pub fn hand_over_all(folder: &Path) -> Result<()> {
    let Some(account) = account() else { return Ok(()) };
    let mut chown = Command::new("chown");
    let owner = format!("{}:{}", account.uid, account.gid);
    command::output(chown.arg("-R").arg(owner).arg(folder)).map(|_| ())
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `None`: we are not root and run servers as ourselves.
fn account() -> Option<Account> {
    static ACCOUNT: OnceLock<Option<Account>> = OnceLock::new();
    *ACCOUNT.get_or_init(|| {
        if !is_root() {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| find(&users, name))
    })
}

fn find(users: &str, name: &str) -> Option<Account> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(Account {
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}
