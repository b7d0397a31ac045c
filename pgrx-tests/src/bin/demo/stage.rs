//! The server, the receiver, and how both are shown.

use std::time::{Duration, Instant};

use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Cluster, Failure, Receiver, Result};
use postgres::Client;

const DATABASE: &str = "demo";
const DEADLINE: Duration = Duration::from_secs(20);

/// A private cluster with the extension, a connection, and a receiver.
pub struct Stage {
    pub client: Client,
    pub receiver: Receiver,
    /// When the last statement was sent.
    pub sent_at: Instant,
    /// Requests that were shown already.
    shown: usize,
    cluster: Cluster,
}

impl Stage {
    /// Builds and installs the extension, starts everything, and creates the extension in a database.
    pub fn set() -> Result<Stage> {
        let cluster = Cluster::builder().try_start()?;
        cluster.create_database(DATABASE);
        let mut client = cluster.connect(DATABASE);
        let receiver = Receiver::start();
        let version = client
            .query_one("show server_version", &[])
            .map_err(sql_failure)?;
        println!(
            "\nPostgreSQL {} with shared_preload_libraries = 'pg_hooks'",
            version.get::<_, &str>(0)
        );
        println!("A receiver listens at {}", receiver.url("/"));
        Ok(Stage {
            client,
            receiver,
            sent_at: Instant::now(),
            shown: 0,
            cluster,
        })
    }

    /// Begins a scene.
    pub fn title(&self, title: &str) {
        println!("\n--- {title}\n");
    }

    /// Shows and runs statements that give nothing.
    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.show_sql(sql);
        self.client.batch_execute(sql).map_err(sql_failure)
    }

    /// Shows and runs a statement that gives the id of a message.
    pub fn send(&mut self, sql: &str) -> Result<i64> {
        self.show_sql(sql);
        let row = self.client.query_one(sql, &[]).map_err(sql_failure)?;
        let id = row.try_get(0).map_err(sql_failure)?;
        println!("  message {id}");
        Ok(id)
    }

    fn show_sql(&mut self, sql: &str) {
        for line in sql.trim().lines() {
            println!("  sql> {line}");
        }
        self.sent_at = Instant::now();
    }

    /// Waits until `count` requests in all have come to `path`, and shows what is new.
    pub fn arrivals(&mut self, path: &str, count: usize) -> Result<()> {
        let arrived = try_wait(DEADLINE, || self.receiver.requests(path).len() >= count);
        self.show_new_arrivals();
        arrived.map_err(|_| Failure::new(format!("waited {DEADLINE:?} for {count} requests at {path}")))
    }

    pub fn show_new_arrivals(&mut self) {
        let requests = self.receiver.all_requests();
        for request in &requests[self.shown..] {
            self.show(request);
        }
        self.shown = requests.len();
    }

    fn show(&self, request: &Received) {
        let delay = request.arrived.at.saturating_duration_since(self.sent_at);
        let delay_ms = delay.as_secs_f64() * 1000.0;
        println!(
            "  arrived {delay_ms:.1} ms later: {} {}",
            request.method, request.target
        );
        for (name, value) in &request.headers {
            if !matches!(name.as_str(), "host" | "content-length" | "accept" | "user-agent") {
                println!("    {name}: {value}");
            }
        }
        println!("    {}", String::from_utf8_lossy(&request.body));
    }

    /// Waits until a query gives a row, and shows its columns.
    pub fn row(&mut self, sql: &str) -> Result<()> {
        println!("  sql> {sql}");
        let client = &mut self.client;
        let row = try_wait(DEADLINE, || {
            client
                .query_opt(sql, &[])
                .map_err(|error| error.to_string())?
                .ok_or("no row".to_owned())
        });
        let row = row.map_err(|seen| Failure::new(format!("waited {DEADLINE:?} for `{sql}`: {seen:?}")))?;
        for (number, column) in row.columns().iter().enumerate() {
            println!(
                "    {}: {}",
                column.name(),
                row.try_get::<_, &str>(number).unwrap_or("(null)")
            );
        }
        Ok(())
    }

    pub fn psql_line(&self) -> String {
        self.cluster.psql_line(DATABASE)
    }
}

/// What the server said, for people.
fn sql_failure(error: postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(error) => Failure::new(format!("{error}\n{}", error.hint().unwrap_or_default())),
        None => Failure::because("SQL failed", error),
    }
}
