//! The server and the receiver that are measured, and a description of both.

use std::time::Duration;

use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Cluster, Failure, Receiver, Result};
use postgres::Client;

const DATABASE: &str = "bench";
/// For whatever is being waited for while measuring.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// A durable cluster, a connection, and a receiver that keeps ids and times.
pub struct Rig {
    pub client: Client,
    pub receiver: Receiver,
    cluster: Cluster,
}

impl Rig {
    pub fn build() -> Result<Rig> {
        let cluster = Cluster::builder()
            .durable()
            .setting("shared_buffers", "128MB")
            .try_start()?;
        cluster.create_database(DATABASE);
        let mut client = cluster.connect(DATABASE);
        client
            .batch_execute("create extension pg_hooks")
            .map_err(sql_failure)?;
        Ok(Rig {
            client,
            receiver: Receiver::counting(),
            cluster,
        })
    }

    /// Prints what every figure depends on.
    pub fn describe(&mut self) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("\nmachine:    {cores} cores, {}, Linux {}", processor(), kernel());
        let version: String = self.value("select version()")?;
        println!("server:     {version}");
        let settings: String = self.value(
            "select string_agg(name || '=' || setting, ' ' order by name) from pg_catalog.pg_settings \
             where name like 'hooks.%' or name in \
             ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'wal_level')",
        )?;
        println!("settings:   {settings}");
        println!("receiver:   on the same machine, answers 200 at once\n");
        Ok(())
    }

    /// A new queue to the receiver with default policy, and an empty record.
    pub fn create_queue(&mut self, name: &str, active: bool) -> Result<()> {
        let url = self.receiver.url("/bench");
        self.run(&format!(
            "select hooks.create_queue('{name}', '{url}', active => {active})"
        ))?;
        self.receiver.clear();
        Ok(())
    }

    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).map_err(sql_failure)
    }

    /// The single value that a query gives.
    pub fn value<T: for<'a> postgres::types::FromSql<'a>>(&mut self, sql: &str) -> Result<T> {
        self.client
            .query_one(sql, &[])
            .and_then(|row| row.try_get(0))
            .map_err(sql_failure)
    }

    /// Waits until this many requests have arrived since the queue was created.
    pub fn wait_for_arrivals(&self, count: usize) -> Result<()> {
        let arrived = try_wait(DEADLINE, || self.receiver.count() >= count);
        let got = || {
            format!(
                "only {} of {count} messages arrived in {DEADLINE:?}",
                self.receiver.count()
            )
        };
        arrived.map_err(|_| Failure::new(got()))
    }

    /// Memory of the worker in MB, shared memory excluded.
    pub fn worker_memory_mb(&self) -> f64 {
        let pids = self.cluster.worker_pids(DATABASE);
        let kilobytes = pids.iter().filter_map(|pid| private_memory_kb(*pid)).max();
        kilobytes.unwrap_or(0) as f64 / 1024.0
    }
}

fn private_memory_kb(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
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

fn sql_failure(error: postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(error) => Failure::new(error.to_string()),
        None => Failure::because("SQL failed", error),
    }
}
