//! What every figure depends on.

use std::path::Path;

use pg_hooks_tests::{Failure, Result};

use crate::rig::Rig;

/// Prints the machine, the server and its settings.
pub fn describe() -> Result<()> {
    let mut rig = Rig::start()?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("- machine: {cores} cores, {}, Linux {}", processor(), kernel());
    let version: String = rig.value("select version()")?;
    println!("- server: {version}");
    let settings: String = rig.value(
        "select string_agg(name || '=' || pg_catalog.current_setting(name), ' ' order by name) \
         from pg_catalog.pg_settings where name like 'hooks.%' and setting <> '' or name in \
         ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'wal_level', 'max_wal_size')",
    )?;
    println!("- settings: {settings}");
    println!("- receiver: on the same machine, one thread, answers 200 at once where nothing else is said");
    println!(
        "- build: {}\n",
        if cfg!(debug_assertions) { "dev" } else { "release" }
    );
    Ok(())
}

fn processor() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = processors.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown processor")
        .to_owned()
}

fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Refuses to fill a disk that has less than `bytes` left where `folder` is.
pub fn check_free_space(folder: &Path, bytes: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(folder)
        .map_err(|error| Failure::because(format_args!("could not look at {}", folder.display()), error))?;
    let free = disk.f_bavail * disk.f_frsize;
    if free >= bytes {
        return Ok(());
    }
    Err(Failure::needs_user(format!(
        "this takes {} MB at {}, where {} MB are free; give a smaller count",
        bytes >> 20,
        folder.display(),
        free >> 20
    )))
}

/// Lets this process, and the servers that it starts, have as many files open as the system allows it:
/// a thousand messages in flight are a thousand connections at either end.
pub fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // With what there is, everything but the largest measurements works as well.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
}
