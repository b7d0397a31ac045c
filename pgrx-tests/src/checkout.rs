//! Where things are: the checkout, its build output, and the PostgreSQL that it is built against.

use std::path::{Path, PathBuf};

/// The PostgreSQL major version that the extension is built for by default.
pub const POSTGRES_VERSION: &str = "15";

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    parent.canonicalize().unwrap_or(parent)
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Programs that only this checkout uses, such as a pinned cargo-pgrx.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// `PGRX_PG_CONFIG_PATH`, or where Debian puts it.
pub fn pg_config() -> PathBuf {
    match std::env::var_os("PGRX_PG_CONFIG_PATH") {
        Some(path) => path.into(),
        None => format!("/usr/lib/postgresql/{POSTGRES_VERSION}/bin/pg_config").into(),
    }
}
