//! The server and the receiver that are measured.

use std::time::{Duration, Instant};

use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Cluster, Failure, Receiver, Result};
use postgres::Client;
use postgres::types::FromSql;

const DATABASE: &str = "bench";
/// Nothing has happened for so long: nothing will.
const STALLED: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// A durable cluster, a connection, and a receiver that keeps ids and times.
pub struct Rig {
    pub client: Client,
    pub receiver: Receiver,
    pub cluster: Cluster,
}

impl Rig {
    pub fn start() -> Result<Rig> {
        Rig::start_with(&[])
    }

    /// With these settings besides PostgreSQL's and our defaults.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Rig> {
        let durable = Cluster::builder().durable().setting("shared_buffers", "128MB");
        let builder = settings
            .iter()
            .fold(durable, |builder, (name, value)| builder.setting(name, value));
        let cluster = builder.try_start()?;
        cluster.create_database(DATABASE);
        let mut rig = Rig {
            client: cluster.connect(DATABASE),
            receiver: Receiver::counting(),
            cluster,
        };
        rig.run("create extension pg_hooks")?;
        rig.wait_for_leader()?;
        Ok(rig)
    }

    /// Restarts the server and sends a message; the time from when the server took connections to the arrival.
    pub fn first_delivery_after_restart(&mut self, queue: &str) -> Result<Duration> {
        self.cluster.restart();
        let begun = Instant::now();
        self.client = self.cluster.connect(DATABASE);
        self.receiver.clear();
        self.run(&format!("select hooks.send('{queue}', 'first')"))?;
        self.wait_for_arrivals(1)?;
        let took = begun.elapsed();
        self.wait_until_recorded()?;
        Ok(took)
    }

    /// One more connection to the database.
    pub fn connect(&self) -> Client {
        self.cluster.connect(DATABASE)
    }

    /// A new queue to `/bench` of the receiver. `policy` begins with a comma if it is not empty.
    pub fn create_queue(&mut self, name: &str, policy: &str) -> Result<()> {
        let url = self.receiver.url("/bench");
        self.run(&format!("select hooks.create_queue('{name}', '{url}'{policy})"))
    }

    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).map_err(sql_failure)
    }

    /// The single value that a query gives.
    pub fn value<T: for<'a> FromSql<'a>>(&mut self, sql: &str) -> Result<T> {
        let row = self.client.query_one(sql, &[]);
        row.and_then(|row| row.try_get(0)).map_err(sql_failure)
    }

    /// Waits until a query gives true.
    pub fn wait_until(&mut self, what: &str, query: &str) -> Result<()> {
        let waited = try_wait(STALLED, || match self.value::<bool>(query) {
            Ok(false) => None,
            seen => Some(seen.map(|_| ())),
        });
        waited.unwrap_or_else(|_| Err(Failure::new(format!("waited {STALLED:?} for {what}"))))
    }

    /// Process id of the worker that delivers.
    pub fn worker_pid(&mut self) -> Result<i32> {
        self.value("select pid from hooks.worker where leader")
    }

    pub fn wait_for_leader(&mut self) -> Result<()> {
        let led = try_wait(STALLED, || self.worker_pid().is_ok());
        led.map_err(|_| Failure::new("no worker leads"))
    }

    /// Waits until this many requests have arrived since the receiver was cleared. Gives up when none has come
    /// for a minute.
    pub fn wait_for_arrivals(&self, count: usize) -> Result<()> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let arrived = self.receiver.count();
            if arrived >= count {
                return Ok(());
            }
            if arrived > last {
                (last, since) = (arrived, Instant::now());
            }
            if since.elapsed() > STALLED {
                return Err(Failure::new(format!(
                    "only {arrived} of {count} messages arrived"
                )));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// Waits until the results of all that was sent are in the tables, and nothing else is due; gives the time
    /// at which that was so.
    ///
    /// What is in flight is looked up in shared memory. To ask the tables again and again would take time from
    /// the worker on a small machine, so they are asked in the end, when it no longer counts.
    pub fn wait_until_recorded(&mut self) -> Result<Instant> {
        const IN_FLIGHT: &str = "select coalesce(sum(in_flight), 0)::bigint from hooks.worker";
        const DUE: &str = "select count(*) from hooks.queue as q where exists \
            (select from hooks.message as m where m.queue_id = q.id and m.due_at <= now())";
        let recorded = try_wait(STALLED, || {
            let in_flight = self.value::<i64>(IN_FLIGHT)?;
            let looked = Instant::now();
            if in_flight > 0 {
                return Err(Failure::new(format!("{in_flight} in flight")));
            }
            match self.value::<i64>(DUE)? {
                0 => Ok(looked),
                due => Err(Failure::new(format!("messages due in {due} queues"))),
            }
        });
        recorded.map_err(|seen| Failure::because("not all results are recorded", seen.unwrap_or_default()))
    }
}

/// What the server said, or the client if it was not the server.
pub fn sql_failure(error: postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(error) => Failure::new(error.to_string()),
        None => Failure::because("SQL failed", error),
    }
}
