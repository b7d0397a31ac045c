//! Reading the two kinds of files, and nothing but regular files of a bounded size.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::geteuid;
use zeroize::Zeroizing;

use crate::fault;

/// A file that nobody else may read: as PostgreSQL asks of `ssl_key_file`, it belongs to the server's user
/// and is open to no other, or it belongs to root and its group may read it.
///
/// # Errors
/// What is wrong, after the name of the file.
pub fn read_private(path: &Path, max_bytes: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let (file, metadata) = open(path)?;
    let mode = metadata.permissions().mode();
    let is_private = match metadata.uid() {
        0 if mode & 0o037 == 0 => true,
        owner => owner == geteuid().as_raw() && mode & 0o077 == 0,
    };
    if !is_private {
        return Err(
            "must belong to the user of the server with mode 0600 or less, or to root with 0640 or less"
                .to_owned(),
        );
    }
    read(file, &metadata, max_bytes)
}

/// A file below a folder. Links are followed as long as they stay below it.
///
/// # Errors
/// What is wrong, after the name of the file.
pub fn read_below(folder: &Path, name: &str, max_bytes: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("cannot be read: hooks.secret_directory: {}", describe(&error)))?;
    let path = folder
        .join(name)
        .canonicalize()
        .map_err(|error| unreadable(&error))?;
    if !path.starts_with(&folder) {
        return Err("is a link that leads out of hooks.secret_directory".to_owned());
    }
    let (file, metadata) = open(&path)?;
    // What stands on the way may have become a link meanwhile: what counts is where the open file is.
    let opened = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
    let is_below = match fault::io("file: place").and_then(|()| opened.read_link()) {
        Ok(place) => place.starts_with(&folder),
        // Without /proc: the path leads to the same file as before.
        Err(_) => path.canonicalize().is_ok_and(|place| place.starts_with(&folder)),
    };
    if !is_below {
        return Err("is a link that leads out of hooks.secret_directory".to_owned());
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return Err("may be written by others than its owner".to_owned());
    }
    read(file, &metadata, max_bytes)
}

/// Without waiting, as the opening of a pipe would.
fn open(path: &Path) -> Result<(File, Metadata), String> {
    let open = || {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        options.open(path)
    };
    let file = fault::io("file: open")
        .and_then(|()| open())
        .map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    Ok((file, metadata))
}

fn read(file: File, metadata: &Metadata, max_bytes: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    // Room for all of it at once: a vector that grows leaves copies behind.
    let room = usize::try_from(metadata.len().min(max_bytes) + 1).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    fault::io("file: read")
        .and_then(|()| file.take(max_bytes + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!("is longer than {max_bytes} bytes"));
    }
    Ok(bytes)
}

fn unreadable(error: &std::io::Error) -> String {
    format!("cannot be read: {}", describe(error))
}

fn describe(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(
        || error.to_string(),
        |number| Errno::from_raw(number).desc().to_owned(),
    )
}
