//! A cluster with a receiver, and the few statements that these tests say again and again.

use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::{Builder, Signal, signal};
use pg_hooks_tests::{Behaviour, Cluster, Receiver, wait_until};
use postgres::Client;

/// Long enough for a machine under load; a test that cares measures.
pub const SOON: Duration = Duration::from_secs(20);

/// A cluster of its own and a receiver. The cluster ends first.
pub struct Rig {
    pub cluster: Cluster,
    pub receiver: Receiver,
}

impl Rig {
    pub fn start() -> Rig {
        Rig::start_with(Cluster::builder())
    }

    pub fn start_with(builder: Builder) -> Rig {
        Rig {
            cluster: builder.start(),
            receiver: Receiver::start(),
        }
    }

    /// A new database whose worker leads.
    pub fn database(&self) -> (String, Client) {
        database(&self.cluster)
    }

    /// Makes a queue that sends to the path of its name, and retries soon.
    pub fn queue(&self, client: &mut Client, name: &str) {
        queue(client, name, &self.receiver.url(&format!("/{name}")));
    }

    /// Has requests to this queue hang.
    pub fn hang(&self, queue: &str) {
        self.receiver.on(&format!("/{queue}"), Behaviour::Hang);
    }

    /// Lets a queue earn so many slots, see [`earn_slots`].
    pub fn earn_slots(&self, client: &mut Client, queue: &str, slots: usize) -> i64 {
        earn_slots(&self.receiver, client, queue, slots)
    }

    /// Kills a process of the server and gives a connection to the server that came back.
    pub fn crash(&self, pid: i32, client: &mut Client, database: &str) -> Client {
        assert!(signal(pid, Signal::KILL), "no process {pid}");
        wait_until("the server to end all sessions", SOON, || {
            client.batch_execute("select 1").is_err()
        });
        self.reconnect(database)
    }

    /// Connects as soon as the server lets us.
    pub fn reconnect(&self, database: &str) -> Client {
        wait_until("the server to come back", SOON, || {
            self.cluster.try_connect("postgres", database)
        })
    }
}

/// A new database whose worker leads.
pub fn database(cluster: &Cluster) -> (String, Client) {
    let name = cluster.create_hooks_database();
    let mut client = cluster.connect(&name);
    wait_for_leader(&mut client);
    (name, client)
}

/// Makes a queue that retries soon.
pub fn queue(client: &mut Client, name: &str, url: &str) {
    let create = "select hooks.create_queue($1, $2, min_backoff => '100 ms', max_backoff => '100 ms')";
    client.execute(create, &[&name, &url]).unwrap();
}

/// Sends one message. Gives its id.
pub fn send(client: &mut Client, queue: &str, body: &str) -> i64 {
    client
        .query_one("select hooks.send($1, $2::text)", &[&queue, &body])
        .unwrap()
        .get(0)
}

/// Sends many messages in one transaction. Gives their ids.
pub fn send_many(client: &mut Client, queue: &str, count: i32) -> Vec<i64> {
    let send = "select hooks.send($1, 'body ' || n) from generate_series(1, $2) as n";
    let rows = client.query(send, &[&queue, &count]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Answers messages until the queue may hold so many slots, as one whose receiver never answered gets few.
///
/// The receiver forgets what has arrived. Gives how many messages were delivered for it.
pub fn earn_slots(receiver: &Receiver, client: &mut Client, queue: &str, slots: usize) -> i64 {
    let path = format!("/{queue}");
    receiver.on(&path, Behaviour::slow(Duration::from_millis(250)));
    let sent = send_many(client, queue, i32::try_from(4 * slots).unwrap());
    wait_until(format_args!("what {queue} earns its slots with"), SOON, || {
        let query = "select count(*) from hooks.message where id = any ($1)";
        let left: i64 = client.query_one(query, &[&sent]).unwrap().get(0);
        if left == 0 { Ok(()) } else { Err(left) }
    });
    let peak = receiver.peak_in_flight(&path);
    assert!(2 * peak >= slots, "{peak} at once do not earn {slots} slots");
    receiver.clear();
    i64::try_from(sent.len()).unwrap()
}

/// Process id of the leader, if one leads.
pub fn leader(client: &mut Client) -> Option<i32> {
    let rows = client.query("select pid from hooks.worker where leader", &[]);
    rows.unwrap().first().map(|row| row.get(0))
}

/// Process id of the leader, as soon as one leads.
pub fn wait_for_leader(client: &mut Client) -> i32 {
    wait_until("a leader", SOON, || leader(client))
}

/// Process id of the leader, as soon as another process than `old` leads.
pub fn wait_for_successor(client: &mut Client, old: i32) -> i32 {
    wait_until("another leader", SOON, || {
        leader(client).filter(|pid| *pid != old)
    })
}

/// Process id of one worker that does not lead, as soon as there is one.
pub fn wait_for_follower(client: &mut Client) -> i32 {
    wait_until("a follower", SOON, || {
        let rows = client.query("select pid from hooks.worker where not leader", &[]);
        rows.unwrap().first().map(|row| row.get::<_, i32>(0))
    })
}

/// First column of the only row.
pub fn value<T: for<'a> postgres::types::FromSql<'a>>(client: &mut Client, query: &str) -> T {
    client.query_one(query, &[]).unwrap().get(0)
}

/// Waits until `count` messages are recorded as delivered.
pub fn wait_for_delivered(client: &mut Client, count: i64) {
    wait_until(format_args!("{count} messages to be delivered"), SOON, || {
        let query = "select count(*) from hooks.message_log where state = 'delivered'";
        let delivered: i64 = value(client, query);
        if delivered >= count {
            Ok(())
        } else {
            Err(delivered)
        }
    });
}

/// Sends one message and waits for it at `/<queue>`. Tells how long that took.
pub fn deliver(receiver: &Receiver, client: &mut Client, queue: &str, body: &str) -> Duration {
    let begun = Instant::now();
    let id = send(client, queue, body);
    let path = format!("/{queue}");
    wait_until(format_args!("message {id} at {path}"), SOON, || {
        receiver
            .requests(&path)
            .iter()
            .any(|request| request.message_id() == Some(id) && request.body == body.as_bytes())
    });
    begun.elapsed()
}

/// The ids that arrived at `/<queue>`, in order of arrival.
pub fn arrived(receiver: &Receiver, queue: &str) -> Vec<i64> {
    let requests = receiver.requests(&format!("/{queue}"));
    requests
        .iter()
        .filter_map(|request| request.message_id())
        .collect()
}
