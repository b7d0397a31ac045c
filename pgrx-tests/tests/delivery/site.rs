//! One database with a receiver of its own, and the words that the tests are written in.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::types::{FromSql, ToSql};
use postgres::{Client, Row};

/// For whatever is sure to come; a test that cares how soon measures.
pub const SOON: Duration = Duration::from_secs(20);

/// A database of a cluster, gone with the test.
pub struct Site {
    pub client: Client,
    pub receiver: Receiver,
    pub database: String,
    pub cluster: &'static Cluster,
}

/// A row of `hooks.attempt`.
#[derive(Debug)]
pub struct Attempt {
    pub number: i32,
    pub began: SystemTime,
    pub took: Duration,
    pub status: Option<i16>,
    pub error_class: Option<String>,
    pub error: Option<String>,
    pub response: Option<Vec<u8>>,
    pub truncated: bool,
}

impl Attempt {
    pub fn ended(&self) -> SystemTime {
        self.began + self.took
    }

    /// Status and error class, which is what most tests ask for.
    pub fn result(&self) -> (Option<i16>, Option<&str>) {
        (self.status, self.error_class.as_deref())
    }
}

impl Site {
    /// A fresh database, whose worker may still be about to start.
    pub fn new() -> Site {
        Site::with(Receiver::start())
    }

    /// A fresh database with this receiver.
    pub fn with(receiver: Receiver) -> Site {
        Site::of(Cluster::shared(), receiver)
    }

    /// A fresh database of this cluster.
    pub fn on(cluster: &'static Cluster) -> Site {
        Site::of(cluster, Receiver::start())
    }

    fn of(cluster: &'static Cluster, receiver: Receiver) -> Site {
        let database = cluster.create_hooks_database();
        Site {
            client: cluster.connect(&database),
            receiver,
            database,
            cluster,
        }
    }

    /// A fresh database whose worker leads and has nothing left to do.
    pub fn settled() -> Site {
        let mut site = Site::new();
        site.leader();
        site
    }

    /// A further session.
    pub fn connect(&self) -> Client {
        self.cluster.connect(&self.database)
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
        self.queue_to(&url, name, policy)
    }

    /// Creates a queue to `url`.
    #[track_caller]
    pub fn queue_to(&mut self, url: &str, name: &str, policy: &str) -> i64 {
        self.value(&format!("select hooks.create_queue('{name}', '{url}'{policy})"))
    }

    /// Sends a text that is due now; gives its id.
    #[track_caller]
    pub fn send(&mut self, queue: &str, body: &str) -> i64 {
        self.value_with("select hooks.send($1::text, $2::text)", &[&queue, &body])
    }

    #[track_caller]
    pub fn run(&mut self, script: &str) {
        run(&mut self.client, script);
    }

    /// The single value that a query gives.
    #[track_caller]
    pub fn value<T: for<'a> FromSql<'a>>(&mut self, query: &str) -> T {
        self.value_with(query, &[])
    }

    #[track_caller]
    pub fn value_with<T: for<'a> FromSql<'a>>(
        &mut self,
        query: &str,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> T {
        self.row(query, arguments).get(0)
    }

    #[track_caller]
    pub fn row(&mut self, query: &str, arguments: &[&(dyn ToSql + Sync)]) -> Row {
        match self.client.query_one(query, arguments) {
            Ok(row) => row,
            Err(error) => panic!("{query}: {error:?}"),
        }
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
        let arrived = self.arrivals(name, 1);
        assert_eq!(arrived.len(), 1, "requests at /{name}");
        arrived.into_iter().next().unwrap()
    }

    /// Requests at `/name` so far.
    pub fn arrived(&self, name: &str) -> usize {
        self.receiver.requests(&format!("/{name}")).len()
    }

    /// What `hooks.status` says, if it knows the message.
    #[track_caller]
    pub fn state(&mut self, id: i64) -> Option<String> {
        let row = self
            .client
            .query_opt("select state from hooks.status($1)", &[&id])
            .unwrap();
        row.map(|row| row.get(0))
    }

    #[track_caller]
    pub fn wait_for_state(&mut self, id: i64, state: &str) {
        wait_until(format_args!("message {id} to be {state}"), SOON, || {
            match self.state(id) {
                Some(seen) if seen == state => Ok(()),
                seen => Err(format!("{seen:?}, after {:?}", self.attempts(id))),
            }
        });
    }

    /// Attempts of a message, in their order.
    #[track_caller]
    pub fn attempts(&mut self, id: i64) -> Vec<Attempt> {
        let query = "select attempt, attempted_at, duration_ms, status, error_class, error, response, truncated \
                     from hooks.attempt where message_id = $1 order by attempt, attempted_at";
        let rows = self.client.query(query, &[&id]).unwrap();
        let attempt = |row: &Row| Attempt {
            number: row.get(0),
            began: row.get(1),
            took: Duration::from_secs_f64(row.get::<_, f64>(2) / 1000.0),
            status: row.get(3),
            error_class: row.get(4),
            error: row.get(5),
            response: row.get(6),
            truncated: row.get(7),
        };
        rows.iter().map(attempt).collect()
    }

    /// Waits until so many attempts of a message are recorded, and gives them all.
    #[track_caller]
    pub fn wait_for_attempts(&mut self, id: i64, count: usize) -> Vec<Attempt> {
        wait_until(format_args!("{count} attempts of message {id}"), SOON, || {
            let attempts = self.attempts(id);
            if attempts.len() >= count {
                Ok(attempts)
            } else {
                Err(format!("{attempts:?}"))
            }
        })
    }

    /// Waits for the one attempt of a message.
    #[track_caller]
    pub fn attempt(&mut self, id: i64) -> Attempt {
        let attempts = self.wait_for_attempts(id, 1);
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        attempts.into_iter().next().unwrap()
    }

    /// When a waiting message is due.
    #[track_caller]
    pub fn due_at(&mut self, id: i64) -> SystemTime {
        self.value_with("select due_at from hooks.message where id = $1", &[&id])
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.cluster.drop_database(&self.database);
    }
}

#[track_caller]
pub fn run(client: &mut Client, script: &str) {
    if let Err(error) = client.batch_execute(script) {
        panic!("{script}: {error:?}");
    }
}

/// SQLSTATE with which a script fails.
#[track_caller]
pub fn refusal(client: &mut Client, script: &str) -> String {
    let Err(error) = client.batch_execute(script) else {
        panic!("{script}: no error");
    };
    error
        .code()
        .map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

/// When a request had arrived, by the clock that PostgreSQL reads too.
pub fn arrived_at(request: &Received) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(request.arrived.unix_us.try_into().unwrap())
}

/// From one time to another, zero if that lies before.
pub fn between(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// Asserts that a duration lies in a range.
#[track_caller]
pub fn assert_within(what: impl Display, took: Duration, range: std::ops::RangeInclusive<Duration>) {
    assert!(range.contains(&took), "{what}: {took:?} is not in {range:?}");
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
