//! A server of the test's own with a database and a receiver.

use pg_hooks_tests::cluster::Builder;
use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::site::{SOON, value};
use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::Client;
use postgres::types::FromSql;

pub struct Server {
    pub cluster: Cluster,
    pub client: Client,
    pub receiver: Receiver,
    pub database: String,
}

impl Server {
    pub fn start() -> Server {
        Server::of(Cluster::builder())
    }

    pub fn of(builder: Builder) -> Server {
        let cluster = builder.start();
        let database = cluster.create_hooks_database();
        Server {
            client: cluster.connect(&database),
            receiver: Receiver::start(),
            database,
            cluster,
        }
    }

    /// Has the server use these keys, the first one to encrypt.
    #[track_caller]
    pub fn use_keys(&self, keys: &[&str]) {
        let file = self.cluster.write_private("keys", &keys.join("\n"));
        self.cluster
            .reload(&[("hooks.secret_key_file", file.to_str().expect("UTF-8"))]);
    }

    /// Has the server look for files of secrets in the folder of [`Cluster::private`] of that name.
    #[track_caller]
    pub fn use_directory(&self, name: &str) {
        let folder = self.cluster.private(name);
        self.cluster
            .reload(&[("hooks.secret_directory", folder.to_str().expect("UTF-8"))]);
    }

    /// Creates a queue to `/q` of the receiver. `policy` is further arguments, each after a comma.
    #[track_caller]
    pub fn queue(&mut self, policy: &str) {
        let url = self.receiver.url("/q");
        self.run(&format!("select hooks.create_queue('q', '{url}'{policy})"));
    }

    #[track_caller]
    pub fn run(&mut self, script: &str) {
        pg_hooks_tests::site::run(&mut self.client, script);
    }

    /// How a script fails: SQLSTATE and message.
    #[track_caller]
    pub fn refusal(&mut self, script: &str) -> (String, String) {
        let refusal = pg_hooks_tests::site::refusal(&mut self.client, script);
        (refusal.code, refusal.message)
    }

    #[track_caller]
    pub fn value<T: for<'a> FromSql<'a>>(&mut self, query: &str) -> T {
        value(&mut self.client, query)
    }

    #[track_caller]
    pub fn wait_until(&mut self, query: &str) {
        wait_until(query, SOON, || self.value::<bool>(query));
    }

    /// Waits until the log of the server has this text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(format_args!("\"{text}\" in the log"), SOON, || {
            self.cluster.log().contains(text).then_some(()).ok_or("not yet")
        });
    }

    /// The newest of so many requests.
    #[track_caller]
    pub fn arrival(&self, count: usize) -> Received {
        let mut arrived = self.receiver.wait_for("/q", count, SOON);
        arrived.swap_remove(count - 1)
    }
}
