//! Copies and links that everybody may read, whatever the umask.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Creates `folder` and what is missing above it.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

/// Links every entry of `from` into the new folder `to`.
pub fn link_entries(from: &Path, to: &Path) -> io::Result<()> {
    create_folder(to)?;
    for entry in entries(from)? {
        symlink(&entry, to.join(name(&entry)))?;
    }
    Ok(())
}

/// Copies the programs of `from` into the new folder `to`; a link stays a link.
pub fn copy_programs(from: &Path, to: &Path) -> io::Result<()> {
    create_folder(to)?;
    for entry in entries(from)? {
        let copy = to.join(name(&entry));
        if entry.is_symlink() {
            symlink(fs::read_link(&entry)?, copy)?;
        } else {
            fs::copy(&entry, copy)?;
        }
    }
    Ok(())
}

/// Every regular file below `folder`, relative to it.
pub fn walk(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in entries(&next)? {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                files.push(entry.strip_prefix(folder).unwrap_or(&entry).to_owned());
            }
        }
    }
    Ok(files)
}

/// Makes `to` a copy of `from` unless it is one already.
///
/// A server that has mapped the old file keeps it: the new one takes over its name only.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    if !to.is_symlink() && fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let new = to.with_extension("new");
    fs::write(&new, content)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(new, to)
}

pub fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

fn name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}
