//! Everything that tests, shows and measures pg_hooks from outside the server.
//!
//! No pgrx here: the extension is built and installed as a user would have it, into a PostgreSQL tree of
//! its own, and is driven through SQL and HTTP only.
//!
//! - [`setup`] installs what building needs; [`install`] builds the extension and lays out the tree;
//! - [`cluster`] runs private servers on that tree;
//! - [`receiver`] is the HTTP server that messages go to;
//! - [`clock`] and [`dns`] are what a server takes for the time of day and for the names of the world;
//! - [`site`] is a database with a receiver, and the words of most tests;
//! - [`chaos`] runs all of it against faults, and checks what became of every message;
//! - [`extent`] says how much of it tests do;
//! - [`wait`] waits for conditions with a deadline, [`meanwhile`] has threads end with their test, and [`watchdog`]
//!   and [`limit`] end what hangs nevertheless.
//!
//! ```no_run
//! use std::time::Duration;
//! use pg_hooks_tests::{Behaviour, Cluster, Receiver};
//!
//! let receiver = Receiver::start();
//! receiver.on("/orders", Behaviour::failing(2, 503));
//! let cluster = Cluster::shared();
//! let mut client = cluster.connect(&cluster.create_hooks_database());
//! let queue = "select hooks.create_queue('orders', $1, min_backoff => '100 ms', max_backoff => '1 s')";
//! client.execute(queue, &[&receiver.url("/orders")]).unwrap();
//! client.execute("select hooks.send('orders', 'a body')", &[]).unwrap();
//! let requests = receiver.wait_for("/orders", 3, Duration::from_secs(10));
//! assert!(requests.iter().all(|request| request.text() == "a body"));
//! ```

pub mod account;
pub mod chaos;
pub mod checkout;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod dns;
pub mod extent;
mod failure;
pub mod install;
pub mod limit;
pub mod meanwhile;
pub mod ports;
pub mod receiver;
pub mod releases;
pub mod scratch;
pub mod setup;
pub mod site;
pub mod vitals;
pub mod wait;
pub mod watchdog;

pub use cluster::Cluster;
pub use failure::{Failure, Result};
pub use receiver::{Answer, Behaviour, Receiver};
pub use wait::wait_until;
