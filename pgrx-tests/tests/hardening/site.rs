//! One database with a receiver of its own, and the words that the tests are written in.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::Client;
use postgres::types::{FromSql, ToSql};

/// For whatever is sure to come; a test that cares how soon measures.
pub const SOON: Duration = Duration::from_secs(20);

/// For what must not wait for anything, on a machine that has other things to do.
pub const AT_ONCE: Duration = Duration::from_secs(10);

/// SQLSTATE of a bad argument.
pub const INVALID: &str = "22023";
/// SQLSTATE of what cannot be done with this object.
pub const NOT_SUPPORTED: &str = "0A000";
/// SQLSTATE for what one may not do.
pub const DENIED: &str = "42501";
/// SQLSTATE for what does not exist.
pub const UNKNOWN: &str = "42704";

/// A database whose worker leads, gone with the test.
pub struct Site<'a> {
    pub client: Client,
    pub receiver: Receiver,
    pub database: String,
    pub cluster: &'a Cluster,
}

impl Site<'static> {
    /// On the cluster with default settings.
    #[track_caller]
    pub fn new() -> Site<'static> {
        Site::on(Cluster::shared())
    }
}

impl<'a> Site<'a> {
    /// On a cluster of the test's own.
    #[track_caller]
    pub fn on(cluster: &'a Cluster) -> Site<'a> {
        Site::made(cluster, "", "")
    }

    /// On the shared cluster, in a database of this encoding.
    #[track_caller]
    pub fn encoded(encoding: &str) -> Site<'static> {
        let options = format!("encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'");
        Site::made(Cluster::shared(), &options, "")
    }

    /// On the shared cluster, in a database where `script` ran before the extension was created.
    #[track_caller]
    pub fn prepared_by(script: &str) -> Site<'static> {
        Site::made(Cluster::shared(), "", script)
    }

    #[track_caller]
    fn made(cluster: &'a Cluster, options: &str, script: &str) -> Site<'a> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let database = format!("site_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.create_database_with(&database, options);
        let mut client = cluster.connect(&database);
        run(&mut client, script);
        run(&mut client, "create extension pg_hooks");
        let mut site = Site {
            client,
            receiver: Receiver::start(),
            database,
            cluster,
        };
        site.leader();
        site
    }

    /// A further session.
    #[track_caller]
    pub fn connect(&self) -> Client {
        self.cluster.connect(&self.database)
    }

    /// Creates a role that can log in, of a name that no other test has.
    #[track_caller]
    pub fn role(&mut self, name: &str) -> String {
        let role = format!("{name}_{}", self.database);
        self.run(&format!("create role {role} login"));
        role
    }

    /// Process id of the leader, once there is one.
    #[track_caller]
    pub fn leader(&mut self) -> i32 {
        wait_until("a leader", SOON, || {
            let leader = self
                .client
                .query_opt("select pid from hooks.worker where leader", &[]);
            leader.unwrap().map(|row| row.get(0))
        })
    }

    /// Creates a queue to `/name` of the receiver. `policy` is further arguments, each after a comma.
    #[track_caller]
    pub fn queue(&mut self, name: &str, policy: &str) -> i64 {
        let url = self.receiver.url(&format!("/{name}"));
        self.value(&format!("select hooks.create_queue('{name}', '{url}'{policy})"))
    }

    /// Sends a text that is due now; gives its id.
    #[track_caller]
    pub fn send(&mut self, queue: &str, body: &str) -> i64 {
        send(&mut self.client, queue, body)
    }

    #[track_caller]
    pub fn run(&mut self, script: &str) {
        run(&mut self.client, script);
    }

    /// The single value that a query gives.
    #[track_caller]
    pub fn value<T: for<'v> FromSql<'v>>(&mut self, query: &str) -> T {
        value(&mut self.client, query)
    }

    /// How a script fails.
    #[track_caller]
    pub fn refusal(&mut self, script: &str) -> Refusal {
        refusal(&mut self.client, script)
    }

    /// Waits until a query gives true.
    #[track_caller]
    pub fn wait_until(&mut self, query: &str) {
        wait_until(query, SOON, || self.value::<bool>(query));
    }

    /// Waits until `count` messages are recorded as delivered.
    #[track_caller]
    pub fn wait_for_delivered(&mut self, count: i64) {
        wait_until(format_args!("{count} messages to be delivered"), SOON, || {
            let delivered: i64 =
                self.value("select count(*) from hooks.message_log where state = 'delivered'");
            if delivered == count {
                Ok(())
            } else {
                Err(delivered)
            }
        });
    }

    /// Waits until so many messages are dead letters; gives their error classes, in the order of ids.
    #[track_caller]
    pub fn dead_letters(&mut self, count: usize) -> Vec<String> {
        let query = "select error_class from hooks.dead_letter order by id";
        wait_until(format_args!("{count} dead letters"), SOON, || {
            let rows = self.client.query(query, &[]).unwrap();
            let classes: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            if classes.len() == count {
                Ok(classes)
            } else {
                Err(format!("{classes:?}"))
            }
        })
    }

    /// Waits for so many requests at `/name`, and gives them all.
    #[track_caller]
    pub fn arrivals(&self, name: &str, count: usize) -> Vec<Received> {
        self.receiver.wait_for(&format!("/{name}"), count, SOON)
    }

    /// Waits for the first request at `/name`, and asserts that it is the only one.
    #[track_caller]
    pub fn arrival(&self, name: &str) -> Received {
        let arrived = self.arrivals(name, 1);
        assert_eq!(arrived.len(), 1, "requests at /{name}");
        arrived.into_iter().next().unwrap()
    }

    /// Requests at `/name` so far.
    pub fn arrived(&self, name: &str) -> usize {
        self.receiver.requests(&format!("/{name}")).len()
    }

    /// Sends through `client` and asserts that it arrives at once.
    #[track_caller]
    pub fn assert_prompt(&self, client: &mut Client, queue: &str) {
        let path = format!("/{queue}");
        let id = send(client, queue, "prompt");
        wait_until(format_args!("message {id} at {path}"), AT_ONCE, || {
            let requests = self.receiver.requests(&path);
            requests.iter().any(|request| request.message_id() == Some(id))
        });
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let _ = self.cluster.drop_database(&self.database);
    }
}

/// An error as a client sees it.
#[derive(Debug)]
pub struct Refusal {
    pub code: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Refusal {
    #[track_caller]
    fn of(what: &str, result: Result<(), postgres::Error>) -> Refusal {
        let Err(error) = result else {
            panic!("{what}: no error");
        };
        let Some(error) = error.as_db_error() else {
            panic!("{what}: {error:?}");
        };
        Refusal {
            code: error.code().code().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }
}

/// How a script fails.
#[track_caller]
pub fn refusal(client: &mut Client, script: &str) -> Refusal {
    Refusal::of(script, client.batch_execute(script))
}

/// How a statement with parameters fails.
#[track_caller]
pub fn refusal_with(client: &mut Client, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Refusal {
    Refusal::of(statement, client.execute(statement, parameters).map(|_| ()))
}

#[track_caller]
pub fn run(client: &mut Client, script: &str) {
    if let Err(error) = client.batch_execute(script) {
        panic!("{script}: {error:?}");
    }
}

/// The single value that a query gives.
#[track_caller]
pub fn value<T: for<'v> FromSql<'v>>(client: &mut Client, query: &str) -> T {
    match client.query_one(query, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{query}: {error:?}"),
    }
}

/// Sends a text that is due now; gives its id.
#[track_caller]
pub fn send(client: &mut Client, queue: &str, body: &str) -> i64 {
    match client.query_one("select hooks.send($1::text, $2::text)", &[&queue, &body]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{queue}: {error:?}"),
    }
}
