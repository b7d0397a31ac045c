//! The server under attack, its receiver, and what writers and nemesis share.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use postgres::Client;

use super::Plan;
use super::identity::Identity;
use super::journal::{Intent, Journal, Outcome, now_us};
use super::reception::{Desk, Reception, TIMEOUT};
use super::standstill::Watch;
use super::wire::Wire;
use super::workload::{Form, Kind, Queue};
use crate::clock::Clock;
use crate::cluster::Builder;
use crate::dns::{self, Dns};
use crate::{Cluster, Failure, Receiver, Result};

/// Most messages on the wire at once, and so most that a crash can have sent again.
pub const MAX_IN_FLIGHT: usize = 64;
/// What is to end at all has ended by then.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Longer than any fault lasts.
const STATEMENT_TIMEOUT: &str = "set statement_timeout = '3min'";

/// Name of the receiver, which a DNS server of the run knows.
const HOST: &str = "receiver.test";
/// Its address: nobody else's, so that the way there can be cut.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// Two are taken on each server, and two by our workers.
pub const WORKER_PROCESSES: usize = 12;
/// All that there are.
pub const REPLICATION_SLOTS: usize = 8;

/// What is done to the extension before a run, so that it has a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    None,
    /// Run when all tables are there.
    Sql(&'static str),
    /// A plan for `hooks.faults` in a build with the feature `faults`.
    Fault(&'static str),
}

impl Sabotage {
    /// The same build without the bug.
    pub fn lifted(self) -> Sabotage {
        match self {
            Sabotage::None | Sabotage::Sql(_) => Sabotage::None,
            Sabotage::Fault(_) => Sabotage::Fault(""),
        }
    }
}

pub struct World {
    pub seed: u64,
    pub receiver: Receiver,
    pub desk: Arc<Desk>,
    pub journal: Journal,
    /// Messages that each writer may have stored by now.
    pub allowance: AtomicUsize,
    /// Messages that all of them have stored for good.
    pub written: AtomicUsize,
    /// Clients are to leave, and to stay away.
    pub closing: AtomicBool,
    /// A standby follows, and commits wait for it.
    pub replicated: AtomicBool,
    pub over: AtomicBool,
    pub database: String,
    pub dns: Dns,
    pub clock: Clock,
    pub watch: Watch,
    pub patience: Duration,
    cluster: RwLock<Arc<Cluster>>,
    /// The log of servers that are gone.
    past_logs: Mutex<String>,
    preloaded: String,
    fault: Option<&'static str>,
    pulses: AtomicU32,
    /// Process id of the last leader that was seen.
    last_leader: AtomicI32,
}

impl World {
    /// Starts a server with everything that a run needs.
    ///
    pub fn create(plan: &Plan, sabotage: &Sabotage) -> Result<World> {
        let seed = plan.seed;
        let desk = Arc::new(Desk::default());
        let receiver = Receiver::scripted(
            ADDRESS,
            Reception {
                desk: Arc::clone(&desk),
                seed,
            },
        );
        let dns = Dns::start();
        dns.say(HOST, &[&ADDRESS.to_string()]);
        let clock = Clock::start()?;
        let preloaded = format!("{}:{}", dns::interposer()?.display(), clock.library().display());
        let fault = match sabotage {
            Sabotage::Fault(fault) => Some(*fault),
            _ => None,
        };
        let builder = prepare(&preloaded, &dns, &clock, fault);
        let cluster = builder.try_start()?;
        let database = cluster.create_hooks_database();
        let journal = Journal::create(&crate::scratch::folder().join("journal"))?;
        let world = World {
            seed,
            receiver,
            desk,
            journal,
            allowance: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            replicated: AtomicBool::new(false),
            over: AtomicBool::new(false),
            database,
            dns,
            clock,
            watch: Watch::start(),
            patience: plan.patience,
            cluster: RwLock::new(Arc::new(cluster)),
            past_logs: Mutex::default(),
            preloaded,
            fault,
            pulses: AtomicU32::new(0),
            last_leader: AtomicI32::new(0),
        };
        let mut client = world.cluster().connect(&world.database);
        let mut script = world.set_up_script();
        if let Sabotage::Sql(sabotage) = sabotage {
            script.push_str(sabotage);
        }
        client
            .batch_execute(&script)
            .map_err(|error| Failure::because("could not make the queues", format!("{error:?}")))?;
        world.wait_for_leader()?;
        Ok(world)
    }

    fn set_up_script(&self) -> String {
        let seconds = TIMEOUT.as_secs();
        let queue = |name: &str, policy: &str| {
            let url = self
                .receiver
                .url(&format!("/{name}"))
                .replace(&ADDRESS.to_string(), HOST);
            format!(
                "select hooks.create_queue('{name}', '{url}', timeout => '{seconds} s', min_backoff => '100 ms',
                   max_backoff => '1 s'{policy});\n"
            )
        };
        // Nothing gives up: whatever the faults do, each message is to arrive.
        let patient = ", max_attempts => 100, breaker_threshold => null";
        let broken = ", max_attempts => 100, breaker_threshold => 0.95, breaker_open_time => '1 s',
            breaker_max_probes => 1000000";
        [
            "create schema chaos;
             create table chaos.sent (
               writer      integer not null,
               transaction integer not null,
               message     integer not null,
               id          bigint not null,
               primary key (writer, transaction, message)
             );\n"
                .to_owned(),
            queue("plain", patient),
            queue("keyed", broken),
            queue("graveyard", patient),
            queue(
                "doomed",
                ", max_attempts => 3, dead_letter_queue => 'graveyard', breaker_threshold => null",
            ),
            queue("ticks", patient),
            queue("pulse", patient),
            queue("poison", patient),
            "select hooks.schedule('tick', 'ticks', 'every 1 second', 'tick', missed => 'all', missed_limit => 1000);"
                .to_owned(),
        ]
        .concat()
    }

    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster.read().expect("poisoned"))
    }

    /// A server like the one that runs, to be started.
    pub fn builder(&self) -> Builder {
        prepare(&self.preloaded, &self.dns, &self.clock, self.fault)
    }

    /// From now on clients go to `successor`.
    pub fn move_to(&self, successor: Cluster) {
        let mut cluster = self.cluster.write().expect("poisoned");
        let before = std::mem::replace(&mut *cluster, Arc::new(successor));
        self.past_logs.lock().expect("poisoned").push_str(&before.log());
    }

    /// The logs of all servers so far.
    pub fn logs(&self) -> String {
        self.past_logs.lock().expect("poisoned").clone() + &self.cluster().log()
    }

    /// Process id of the leader that was seen last.
    pub fn leader_seen(&self) -> i32 {
        self.last_leader.load(Ordering::Relaxed)
    }

    /// A session, as soon as the server gives one. `None` when the world ends, or clients are to leave.
    pub fn reconnect(&self) -> Option<Client> {
        loop {
            if self.over.load(Ordering::Relaxed) || self.closing.load(Ordering::Relaxed) {
                return None;
            }
            if let Ok(client) = self.cluster().try_connect("postgres", &self.database) {
                return Some(client);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A session that may go away without a word.
    pub fn wire(&self) -> Option<Wire> {
        let cluster = self.cluster();
        Wire::connect(cluster.socket_folder(), cluster.port(), &self.database).ok()
    }

    /// A session of the nemesis, as soon as the server gives one. A statement of it that waits for ever fails in the
    /// end, and the run with it.
    pub fn session(&self) -> Result<Client> {
        let begun = Instant::now();
        loop {
            let client = self.cluster().try_connect("postgres", &self.database);
            let bounded = client.and_then(|mut client| {
                client.batch_execute(STATEMENT_TIMEOUT)?;
                Ok(client)
            });
            match bounded {
                Ok(client) => return Ok(client),
                Err(error) if begun.elapsed() > DEADLINE => {
                    return Err(Failure::because("the server gives no session", error));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Process id of the leader and since when it runs: two leaders are told apart by it.
    pub fn leader(&self) -> Option<(i32, String)> {
        let mut client = self.cluster().try_connect("postgres", &self.database).ok()?;
        let query = "select w.pid, a.backend_start::text from hooks.worker as w
                     join pg_stat_activity as a using (pid) where w.leader";
        let row = client.query_opt(query, &[]).ok()??;
        self.last_leader.store(row.get(0), Ordering::Relaxed);
        Some((row.get(0), row.get(1)))
    }

    pub fn wait_for_leader(&self) -> Result<(i32, String)> {
        let begun = Instant::now();
        loop {
            match self.leader() {
                Some(leader) => return Ok(leader),
                None if begun.elapsed() > DEADLINE => return Err(Failure::new("no worker leads")),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Sends a message that nothing keeps from being delivered. Gives its id and when it was committed.
    pub fn pulse(&self, queue: Queue) -> Result<(i64, i64)> {
        let identity = Identity::new(0, self.pulses.fetch_add(1, Ordering::Relaxed) + 1, 1);
        let body = identity.body(0);
        let intent = Intent {
            identity,
            queue,
            sha256: sha2::Digest::finalize(sha2::Digest::chain_update(
                <sha2::Sha256 as sha2::Digest>::new(),
                &body,
            ))
            .into(),
            key: None,
            form: Form::Text,
            delay_ms: 0,
            ttl_ms: None,
            taken_back: false,
        };
        let mut client = self.session()?;
        let place = self.journal.intend(Kind::Commit, vec![intent]);
        let number = i32::try_from(identity.transaction).unwrap_or(i32::MAX);
        let query = "insert into chaos.sent select 0, $1, 1, hooks.send($2, $3::text) returning id";
        let text = String::from_utf8_lossy(&body).into_owned();
        match client.query_one(query, &[&number, &queue.name(), &text]) {
            Ok(row) => {
                self.journal.conclude(place, Outcome::Committed);
                Ok((row.get(0), now_us()))
            }
            Err(error) => {
                self.journal.conclude(place, Outcome::Unknown);
                Err(Failure::because("could not send a message", format!("{error:?}")))
            }
        }
    }
}

fn prepare(preloaded: &str, dns: &Dns, clock: &Clock, fault: Option<&str>) -> Builder {
    let builder = match fault {
        Some(fault) => Cluster::builder().faulty().setting("hooks.faults", fault),
        None => Cluster::builder(),
    };
    let builder = builder
        .environment("LD_PRELOAD", preloaded)
        .environment("TEST_DNS_PORT", &dns.port().to_string());
    clock
        .told_to(builder)
        // A disk that others keep busy is felt only by who waits for it.
        .durable()
        .setting("hooks.max_in_flight", &MAX_IN_FLIGHT.to_string())
        .setting("hooks.workers", "2")
        // Nothing is found by chance: who forgets to wake the worker is found out.
        .setting("hooks.rescan_interval", "1h")
        // However far its clock leaps.
        .setting("hooks.history_retention", "-1")
        .setting("hooks.attempt_retention", "-1")
        .setting("max_connections", "60")
        .setting("max_worker_processes", &WORKER_PROCESSES.to_string())
        .setting("max_parallel_workers", &WORKER_PROCESSES.to_string())
        .setting("max_replication_slots", &REPLICATION_SLOTS.to_string())
        .setting("max_prepared_transactions", "60")
        .setting("wal_keep_size", "128MB")
}
