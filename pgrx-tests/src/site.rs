//! One database with a receiver of its own, and the words that tests are written in.

use std::time::Duration;

use postgres::types::FromSql;
use postgres::{Client, Row};

use crate::receiver::Received;
use crate::{Cluster, Receiver, wait_until};

/// For whatever is sure to come.
pub const SOON: Duration = Duration::from_secs(30);

/// A database of a cluster, with the extension; gone with the test.
pub struct Site {
    pub client: Client,
    pub receiver: Receiver,
    pub database: String,
    cluster: &'static Cluster,
}

/// What an error tells the user.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub hint: String,
}

impl Site {
    /// On the cluster that all tests of a program share.
    pub fn new() -> Site {
        Site::on(Cluster::shared())
    }

    /// On this cluster.
    pub fn on(cluster: &'static Cluster) -> Site {
        let database = cluster.create_hooks_database();
        Site {
            client: cluster.connect(&database),
            receiver: Receiver::start(),
            database,
            cluster,
        }
    }

    /// The server that it is on.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// A further session.
    pub fn connect(&self) -> Client {
        self.cluster.connect(&self.database)
    }

    /// A session of a new role that is a member of `role`.
    #[track_caller]
    pub fn connect_as_member(&mut self, role: &str) -> Client {
        let user = format!("{role}_{}", self.database);
        self.run(&format!("create role {user} login in role {role}"));
        self.cluster.connect_as(&user, &self.database)
    }

    /// Creates a queue to `/name` of the receiver. `policy` is further arguments, each after a comma.
    #[track_caller]
    pub fn queue(&mut self, name: &str, policy: &str) -> i64 {
        let url = self.receiver.url(&format!("/{name}"));
        self.value(&format!("select hooks.create_queue('{name}', '{url}'{policy})"))
    }

    #[track_caller]
    pub fn run(&mut self, script: &str) {
        run(&mut self.client, script);
    }

    /// The single value that a query gives.
    #[track_caller]
    pub fn value<T: for<'a> FromSql<'a>>(&mut self, query: &str) -> T {
        value(&mut self.client, query)
    }

    /// The first column of every row that a query gives.
    #[track_caller]
    pub fn column<T: for<'a> FromSql<'a>>(&mut self, query: &str) -> Vec<T> {
        match self.client.query(query, &[]) {
            Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
            Err(error) => panic!("{query}: {error:?}"),
        }
    }

    /// The error with which a script fails.
    #[track_caller]
    pub fn refusal(&mut self, script: &str) -> Refusal {
        refusal(&mut self.client, script)
    }

    /// Waits until a query gives true.
    #[track_caller]
    pub fn wait_until(&mut self, query: &str) {
        wait_until(query, SOON, || self.value::<bool>(query));
    }

    /// Waits for so many requests at `/name`, and gives them all.
    #[track_caller]
    pub fn arrivals(&self, name: &str, count: usize) -> Vec<Received> {
        self.receiver.wait_for(&format!("/{name}"), count, SOON)
    }

    /// Waits for the first request at `/name`, and asserts that it is the only one.
    #[track_caller]
    pub fn arrival(&self, name: &str) -> Received {
        let mut arrived = self.arrivals(name, 1);
        assert_eq!(arrived.len(), 1, "requests at /{name}");
        arrived.remove(0)
    }

    /// Requests at `/name` so far.
    pub fn arrived(&self, name: &str) -> usize {
        self.receiver.requests(&format!("/{name}")).len()
    }

    /// Waits until no message waits.
    #[track_caller]
    pub fn settle(&mut self) {
        self.wait_until("select not exists (select from hooks.message)");
    }
}

impl Default for Site {
    fn default() -> Site {
        Site::new()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.cluster.drop_database(&self.database);
    }
}

/// Runs statements that give nothing of interest.
#[track_caller]
pub fn run(client: &mut Client, script: &str) {
    if let Err(error) = client.batch_execute(script) {
        panic!("{script}: {error:?}");
    }
}

/// The single value that a query gives.
#[track_caller]
pub fn value<T: for<'a> FromSql<'a>>(client: &mut Client, query: &str) -> T {
    row(client, query).get(0)
}

/// The single row that a query gives.
#[track_caller]
pub fn row(client: &mut Client, query: &str) -> Row {
    match client.query_one(query, &[]) {
        Ok(row) => row,
        Err(error) => panic!("{query}: {error:?}"),
    }
}

/// The error with which a script fails.
#[track_caller]
pub fn refusal(client: &mut Client, script: &str) -> Refusal {
    let Err(error) = client.batch_execute(script) else {
        panic!("{script}: no error");
    };
    let Some(error) = error.as_db_error() else {
        panic!("{script}: {error:?}");
    };
    Refusal {
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        hint: error.hint().unwrap_or_default().to_owned(),
    }
}
