//! A database of one's own, dropped with the test.

use std::sync::OnceLock;
use std::time::Duration;

use pg_hooks_tests::Cluster;
use postgres::Client;

/// For what takes milliseconds on a machine that has nothing else to do.
pub const SOON: Duration = Duration::from_secs(30);

/// A database with the extension. Connections that are still open when it is dropped are closed.
pub struct Database {
    cluster: &'static Cluster,
    name: String,
}

impl Database {
    /// On the cluster with default settings, which lets queues reach this machine.
    #[track_caller]
    pub fn new() -> Database {
        Database::on(Cluster::shared())
    }

    /// On the cluster that opens no network.
    #[track_caller]
    pub fn without_networks() -> Database {
        static STRICT: OnceLock<Cluster> = OnceLock::new();
        Database::on(STRICT.get_or_init(|| Cluster::builder().setting("hooks.allowed_networks", "").start()))
    }

    #[track_caller]
    fn on(cluster: &'static Cluster) -> Database {
        Database {
            cluster,
            name: cluster.create_hooks_database(),
        }
    }

    #[track_caller]
    pub fn connect(&self) -> Client {
        self.cluster.connect(&self.name)
    }

    #[track_caller]
    pub fn connect_as(&self, user: &str) -> Client {
        self.cluster.connect_as(user, &self.name)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.cluster.drop_database(&self.name);
    }
}

/// The one value that a query gives.
#[track_caller]
pub fn value<T: for<'a> postgres::types::FromSql<'a>>(client: &mut Client, query: &str) -> T {
    match client.query_one(query, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{query}: {error:?}"),
    }
}

/// The first column of every row that a query gives.
#[track_caller]
pub fn column<T: for<'a> postgres::types::FromSql<'a>>(client: &mut Client, query: &str) -> Vec<T> {
    match client.query(query, &[]) {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) => panic!("{query}: {error:?}"),
    }
}

/// Runs statements that give nothing of interest.
#[track_caller]
pub fn run(client: &mut Client, statements: &str) {
    if let Err(error) = client.batch_execute(statements) {
        panic!("{statements}: {error:?}");
    }
}
