//! Two servers, of which one is the primary and the other its synchronous standby, in turns.

use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::{Builder, StopMode};
use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::{Cluster, wait_until};

/// For whatever is sure to come.
pub const SOON: Duration = Duration::from_secs(60);

const STANDBY: &str = "standby";
pub const DATABASE: &str = "shop";

pub struct Pair {
    pub primary: Cluster,
    pub standby: Cluster,
}

impl Pair {
    pub fn start() -> Pair {
        let rewindable = |builder: Builder| {
            builder
                .setting("wal_log_hints", "on")
                .setting("wal_keep_size", "256MB")
                .start()
        };
        let primary = rewindable(Cluster::builder());
        primary.create_database(DATABASE);
        run(&mut primary.connect(DATABASE), "create extension pg_hooks");
        let standby = rewindable(primary.standby(STANDBY));
        let pair = Pair { primary, standby };
        pair.synchronise();
        pair
    }

    /// From now on a commit is acknowledged when the standby has it.
    fn synchronise(&self) {
        let mut client = self.primary.connect(DATABASE);
        wait_until("the standby to follow", SOON, || {
            value::<bool>(
                &mut client,
                "select exists (select from pg_stat_replication where state = 'streaming')",
            )
        });
        self.primary.reload(&[("synchronous_standby_names", STANDBY)]);
        wait_until("the standby to be synchronous", SOON, || {
            value::<bool>(
                &mut client,
                "select exists (select from pg_stat_replication where sync_state = 'sync')",
            )
        });
    }

    /// Ends the primary. Tells how long that took.
    pub fn stop_primary(&self, how: StopMode) -> Duration {
        let took = self.primary.stop(how);
        self.primary.configure("synchronous_standby_names", "");
        took
    }

    /// Promotes the standby, which has no standby itself yet. Also gives when it was told so.
    pub fn promote(self) -> (Pair, Instant) {
        let told = Instant::now();
        self.standby.promote();
        let pair = Pair {
            primary: self.standby,
            standby: self.primary,
        };
        (pair, told)
    }

    /// Has the old primary, which is stopped, follow the new one.
    pub fn rejoin(&self) {
        // pg_rewind reads the new timeline from the control file.
        run(&mut self.primary.connect("postgres"), "checkpoint");
        self.standby
            .rewind(&self.primary, STANDBY)
            .unwrap_or_else(|failure| panic!("{failure}"));
        self.standby.start().unwrap_or_else(|failure| panic!("{failure}"));
        self.synchronise();
    }

    /// Processes of pg_hooks on the standby.
    pub fn workers_of_standby(&self) -> i64 {
        value(
            &mut self.standby.connect("postgres"),
            "select count(*) from pg_stat_activity where backend_type like 'pg_hooks%'",
        )
    }
}
