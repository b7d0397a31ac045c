//! Temporary folders that go away with the process, however it ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::watchdog;

/// On a disk, unlike `/tmp` on many machines, and short enough for the path of a Unix socket.
pub const BASE: &str = "/var/tmp";

/// Waits until the process that started it is gone (its end of the pipe closes), then stops the servers
/// that are left in the folder and removes it.
const JANITOR: &str = r#"
trap '' INT TERM HUP
cat > /dev/null
for pid_file in "$0"/*/data/postmaster.pid; do
  [ -e "$pid_file" ] && kill -QUIT "$(head -n 1 "$pid_file")"
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$0" && break
  sleep 0.3
done
"#;

/// A new empty folder that everybody may enter, removed at the latest when this process ends.
pub fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let folder = base().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    std::fs::create_dir(&folder).expect("could not create a temporary folder");
    folder
}

/// The folder of this process, watched by a janitor.
fn base() -> &'static Path {
    static PROCESS: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (folder, _) = PROCESS.get_or_init(|| {
        let folder = tempfile::Builder::new()
            .prefix("pg_hooks.")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(BASE)
            .expect("could not create a temporary folder")
            .keep();
        let janitor = start_janitor(&folder);
        watchdog::watch(&folder);
        (folder, janitor)
    });
    folder
}

/// In a process group of its own, so that neither Ctrl-C nor a `kill` of our group reaches it.
fn start_janitor(folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", JANITOR])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("could not start a shell")
}
