//! One database with a receiver of its own, and the words that the tests are written in.

use std::collections::BTreeMap;
use std::time::Duration;

use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::Client;
use postgres::types::FromSql;

/// For whatever is sure to come; a test that cares how soon measures.
pub const SOON: Duration = Duration::from_secs(30);

/// SQLSTATE of a bad argument.
pub const INVALID: &str = "22023";
/// SQLSTATE for what does not exist.
pub const UNKNOWN: &str = "42704";
/// SQLSTATE for what is still needed.
pub const IN_USE: &str = "2BP01";
/// SQLSTATE of what cannot be done with this object.
pub const NOT_SUPPORTED: &str = "0A000";

/// A database whose worker leads, gone with the test.
pub struct Site<'a> {
    pub client: Client,
    pub receiver: Receiver,
    pub database: String,
    pub cluster: &'a Cluster,
}

/// A message of a schedule, as it arrived; an attempt that is repeated counts once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick {
    /// Unix time.
    pub at: i64,
    pub late: bool,
    pub message: i64,
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
        let database = cluster.create_hooks_database();
        let mut site = Site {
            client: cluster.connect(&database),
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

    /// Connects anew to a server that comes back.
    #[track_caller]
    pub fn reconnect(&mut self) {
        self.client = wait_until("the server to come back", SOON, || {
            self.cluster.try_connect("postgres", &self.database)
        });
    }

    /// Process id of the leader, once there is one.
    #[track_caller]
    pub fn leader(&mut self) -> i32 {
        wait_until("a leader", SOON, || {
            let leader = "select pid from hooks.worker where leader";
            self.client.query_opt(leader, &[]).unwrap().map(|row| row.get(0))
        })
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
    pub fn value<T: for<'v> FromSql<'v>>(&mut self, query: &str) -> T {
        value(&mut self.client, query)
    }

    /// The first column of every row that a query gives.
    #[track_caller]
    pub fn column<T: for<'v> FromSql<'v>>(&mut self, query: &str) -> Vec<T> {
        match self.client.query(query, &[]) {
            Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
            Err(error) => panic!("{query}: {error:?}"),
        }
    }

    /// Asserts that a script fails with this SQLSTATE, message and hint.
    #[track_caller]
    pub fn assert_refused(&mut self, script: &str, code: &str, message: &str, hint: &str) {
        let Err(error) = self.client.batch_execute(script) else {
            panic!("not refused: {script}");
        };
        let Some(error) = error.as_db_error() else {
            panic!("{script}: {error:?}");
        };
        let refused = (
            error.code().code(),
            error.message(),
            error.hint().unwrap_or_default(),
        );
        assert_eq!(refused, (code, message, hint), "{script}");
    }

    /// Waits until a query gives true.
    #[track_caller]
    pub fn wait_until(&mut self, query: &str) {
        wait_until(query, SOON, || self.value::<bool>(query));
    }

    /// Requests at `/name` so far.
    pub fn arrived(&self, name: &str) -> usize {
        self.receiver.requests(&format!("/{name}")).len()
    }

    /// Waits until this query of a number gives none.
    #[track_caller]
    pub fn settle(&mut self) {
        self.wait_until("select not exists (select from hooks.message)");
    }

    /// What has arrived at `/name`, in the order of ticks and messages.
    #[track_caller]
    pub fn ticks(&mut self, name: &str) -> Vec<Tick> {
        let mut ticks = BTreeMap::new();
        for request in self.receiver.requests(&format!("/{name}")) {
            let (Some(message), Some(at)) = (request.message_id(), request.header("hooks-cron-tick")) else {
                panic!("no message of a schedule: {request:?}");
            };
            let late = request.header("hooks-cron-late").is_some();
            ticks.insert(message, (at.to_owned(), late));
        }
        let query = "select extract(epoch from t.at::timestamptz)::bigint
                     from unnest($1::text[]) with ordinality as t(at, place) order by t.place";
        let texts: Vec<&str> = ticks.values().map(|(at, _)| at.as_str()).collect();
        let times = self.client.query(query, &[&texts]).unwrap();
        let mut ticks: Vec<Tick> = ticks
            .iter()
            .zip(times)
            .map(|((message, (_, late)), row)| Tick {
                at: row.get(0),
                late: *late,
                message: *message,
            })
            .collect();
        ticks.sort();
        ticks
    }

    /// Waits until so many messages of schedules have come to `/name`, and gives them all.
    #[track_caller]
    pub fn wait_for_ticks(&mut self, name: &str, count: usize) -> Vec<Tick> {
        wait_until(format_args!("{count} ticks at /{name}"), SOON, || {
            let ticks = self.ticks(name);
            if ticks.len() >= count {
                Ok(ticks)
            } else {
                Err(format!("{ticks:?}"))
            }
        })
    }

    /// Waits until so many have come and none between them is missing, so many seconds apart. Those that are made up
    /// for go out side by side, in any order.
    #[track_caller]
    pub fn wait_for_ticks_each(&mut self, name: &str, count: usize, seconds: i64) -> Vec<Tick> {
        let what = format!("{count} ticks at /{name}, {seconds} s apart");
        wait_until(what, SOON, || {
            let ticks = self.ticks(name);
            let mut pairs = ticks.windows(2);
            if ticks.len() >= count && pairs.all(|pair| pair[0].at + seconds == pair[1].at) {
                Ok(ticks)
            } else {
                Err(format!("{ticks:?}"))
            }
        })
    }

    /// The server's clock, in Unix time.
    #[track_caller]
    pub fn now(&mut self) -> i64 {
        self.value("select extract(epoch from clock_timestamp())::bigint")
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let _ = self.cluster.drop_database(&self.database);
    }
}

/// Asserts that no tick came twice.
#[track_caller]
pub fn assert_each_once(ticks: &[Tick]) {
    for pair in ticks.windows(2) {
        assert_ne!(pair[0].at, pair[1].at, "a tick made two messages: {ticks:?}");
    }
}

/// Asserts that a tick came each second, and each once.
#[track_caller]
pub fn assert_every_second(ticks: &[Tick]) {
    for pair in ticks.windows(2) {
        assert_eq!(pair[0].at + 1, pair[1].at, "{ticks:?}");
    }
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
