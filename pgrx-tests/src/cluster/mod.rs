//! Private PostgreSQL servers: each in a temporary folder, on a port of its own, gone with the test.

mod faults;
mod files;
pub mod hostile;
mod process;
mod replica;
mod rest;
mod server;
mod settings;
mod standby;
mod template;
mod upgrade;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, NoTls};

pub use process::{Signal, kill9, limit_memory, signal};
pub use rest::{Stopped, stop_at_rest};
pub use server::StopMode;
pub use settings::Builder;

use crate::install::Tree;
use crate::{Result, command};
use server::Server;
use settings::Settings;

/// A running server with superuser `postgres`, open to everybody on this machine.
///
/// Dropping it stops the server and removes its files; when a test panics, the end of its log is shown.
pub struct Cluster {
    tree: Tree,
    folder: PathBuf,
    port: u16,
    settings: Mutex<Settings>,
    environment: Vec<(String, String)>,
    server: Mutex<Server>,
}

impl Cluster {
    /// A cluster with settings of one's own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The cluster with default settings that all tests of this process share. Use a database of your own.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let show_panic = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                show_panic(panic);
                if let Some(cluster) = SHARED.get() {
                    cluster.show_log();
                }
            }));
            Cluster::builder().start()
        })
    }

    /// Connects as the superuser.
    ///
    /// # Panics
    /// When the server does not take the connection.
    #[track_caller]
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as("postgres", database)
    }

    /// Connects as `user`. Any role that exists may.
    #[track_caller]
    pub fn connect_as(&self, user: &str, database: &str) -> Client {
        match self.try_connect(user, database) {
            Ok(client) => client,
            Err(error) => panic!("could not connect to database {database} as {user}: {error:?}"),
        }
    }

    /// Connects over the Unix socket.
    pub fn try_connect(&self, user: &str, database: &str) -> std::result::Result<Client, postgres::Error> {
        self.connection(user, database).connect(NoTls)
    }

    /// How sessions of tests connect, over the Unix socket.
    pub fn connection(&self, user: &str, database: &str) -> postgres::Config {
        let mut config = postgres::Config::new();
        config
            .host_path(&self.folder)
            .port(self.port)
            .user(user)
            .dbname(database)
            .application_name("pg_hooks_tests")
            .connect_timeout(Duration::from_secs(10));
        if let Some(options) = hostile::options(user) {
            config.options(&options);
        }
        config
    }

    /// Creates an empty database.
    #[track_caller]
    pub fn create_database(&self, name: &str) {
        self.create_database_with(name, "");
    }

    /// Creates a database with these options of `CREATE DATABASE`.
    #[track_caller]
    pub fn create_database_with(&self, name: &str, options: &str) {
        let create = format!("create database \"{name}\" {options}");
        let mut client = self.connect("postgres");
        client
            .batch_execute(&create)
            .expect("could not create a database");
        if hostile::is_wanted() {
            hostile::set_for_database(&mut client, name);
        }
    }

    /// Ends the sessions of a database and drops it. PostgreSQL waits 5 s for them, which a worker may need more
    /// often than once where the machine is slow.
    ///
    /// # Errors
    /// The server is down, or something else holds the database.
    pub fn drop_database(&self, name: &str) -> std::result::Result<(), postgres::Error> {
        let statement = format!("drop database \"{name}\" with (force)");
        let mut client = self.try_connect("postgres", "postgres")?;
        for _ in 0..2 {
            match client.batch_execute(&statement) {
                Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) => {}
                ended => return ended,
            }
        }
        client.batch_execute(&statement)
    }

    /// Creates a database with the extension, under a name that no other test has.
    #[track_caller]
    pub fn create_hooks_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("hooks_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.create_database(&name);
        self.connect(&name)
            .batch_execute("create extension pg_hooks")
            .expect("could not create pg_hooks");
        name
    }

    /// Process ids of our workers that serve `database`, as `pg_stat_activity` shows them.
    #[track_caller]
    pub fn worker_pids(&self, database: &str) -> Vec<i32> {
        let query = "select pid from pg_catalog.pg_stat_activity \
                     where backend_type like 'pg_hooks%' and datname = $1 order by backend_start";
        let rows = self
            .connect(database)
            .query(query, &[&database])
            .expect("could not list the workers");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Runs a script in psql, stopping at the first error; gives what it printed.
    pub fn psql(&self, database: &str, script: &str) -> Result<String> {
        let script_file = self.folder.join("script.sql");
        std::fs::write(&script_file, script).expect("could not write a script");
        // What it prints is compared with what documents show.
        let mut psql = self.tool_with("psql", "-c datestyle=ISO");
        psql.args(["--no-psqlrc", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--dbname", database, "--file"]);
        command::output(psql.arg(script_file))
    }

    /// One of PostgreSQL's client programs, which connects here as the superuser.
    pub fn tool(&self, name: &str) -> std::process::Command {
        self.tool_with(name, "")
    }

    /// The same, with these options for its sessions.
    pub fn tool_with(&self, name: &str, options: &str) -> std::process::Command {
        let mut tool = std::process::Command::new(self.tree.program(name));
        tool.args(["--username", "postgres", "--host"]).arg(&self.folder);
        tool.args(["--port", &self.port.to_string()]);
        let options = format!(
            "{} {options}",
            hostile::options(hostile::SUPERUSER).unwrap_or_default()
        );
        tool.env("PGOPTIONS", options);
        tool
    }

    /// A dump of `database`, as a script.
    #[track_caller]
    pub fn dump(&self, database: &str) -> String {
        match command::output(self.tool("pg_dump").arg(database)) {
            Ok(script) => script,
            Err(failure) => panic!("could not dump {database}: {failure}"),
        }
    }

    /// The command that connects a person to `database`.
    pub fn psql_line(&self, database: &str) -> String {
        let psql = self.tree.program("psql");
        format!(
            "{} -h {} -p {} -U postgres {database}",
            psql.display(),
            self.folder.display(),
            self.port
        )
    }

    /// The folder of the Unix socket, for a client's `host`.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The port of the Unix socket and of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The PostgreSQL that runs here.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_log();
        }
        self.remove();
    }
}
