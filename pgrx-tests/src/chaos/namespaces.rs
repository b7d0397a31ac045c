//! Namespaces of the run's own, which root can have: what is mounted and routed there goes when the program ends,
//! however that is, and is seen by nobody else.

use std::process::{Command, Stdio};

/// Set in a process that has mounts of its own, and a network.
const MOUNTS: &str = "PG_HOOKS_CHAOS_MOUNTS";
const NETWORK: &str = "PG_HOOKS_CHAOS_NETWORK";

/// Sets the loopback interface up, which is all that such a network has, and becomes the program.
const ENTER: &str = r#"ip link set lo up && exec "$0" "$@""#;

pub fn has_own_mounts() -> bool {
    std::env::var_os(MOUNTS).is_some()
}

pub fn has_own_network() -> bool {
    std::env::var_os(NETWORK).is_some()
}

/// This program once more, with the same words, in namespaces of its own: `None` where it is in them, or there are none
/// to be had. It cannot reach the world from there, to install anything.
pub fn again_in_own() -> Option<Command> {
    if has_own_mounts() {
        return None;
    }
    let mounts = ["--mount", "--propagation", "private"];
    let program = std::env::current_exe().ok()?;
    let mut inner = Command::new("unshare");
    if can_unshare(&["--mount", "--net"], &["sh", "-c", ENTER, "true"]) {
        inner
            .args(mounts)
            .args(["--net", "sh", "-c", ENTER])
            .env(NETWORK, "1");
    } else if can_unshare(&["--mount"], &["true"]) {
        inner.args(mounts);
    } else {
        return None;
    }
    inner
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(MOUNTS, "1");
    Some(inner)
}

fn can_unshare(namespaces: &[&str], program: &[&str]) -> bool {
    let mut trial = Command::new("unshare");
    trial.args(namespaces).args(program).stderr(Stdio::null());
    trial.status().is_ok_and(|status| status.success())
}
