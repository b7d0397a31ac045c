//! What adopting makes of keys, ids and queues.

use pg_hooks_tests::site::{refusal, run, value};
use pg_hooks_tests::{Cluster, Receiver, command};

use crate::scene::{SOON, original, server, wait_for_state};

const KEY: &str = "select webhook_key from hooks.installation";

/// Rows of another database, as replication brings them.
fn replicate(rows: &str) -> String {
    format!("set session_replication_role = replica; {rows}; reset session_replication_role")
}

fn foreign_queue(name: &str) -> String {
    format!(
        "insert into hooks.queue (name, url, home) values ('{name}', 'https://example.com/', 'theirs@1/1')"
    )
}

/// Of queues alone nothing tells the leader that was there when the restore began.
#[test]
fn dump_that_is_adopted_straight_after_the_restore_goes_on_under_its_key() {
    let from = server();
    let to = Cluster::builder()
        .with_own_identity()
        .setting("hooks.rescan_interval", "1h")
        .start();
    let receiver = Receiver::start();
    let mut source = original(&from, &receiver, "original");
    let key: String = value(&mut source, KEY);
    let file = from.socket_folder().join("dump");
    let mut dump = from.tool("pg_dump");
    command::output(dump.args(["-Fc", "original", "-f"]).arg(&file)).unwrap();

    to.create_database("restored");
    let mut copy = to.connect("restored");
    run(&mut copy, "create extension pg_hooks");
    wait_for_state(&mut copy, "leading");
    let mut restore = to.tool("pg_restore");
    command::output(restore.args(["-d", "restored"]).arg(file)).unwrap();
    assert_eq!(
        value::<String>(&mut copy, "select was from hooks.adopt()"),
        "restored"
    );
    run(&mut copy, "select hooks.send('q', 'x')");
    let request = &receiver.wait_for("/q", 1, SOON)[0];
    let id = request.message_id().unwrap();
    assert_eq!(request.webhook_id(), Some(format!("msg_{key}_{id}").as_str()));
}

#[test]
fn database_with_queues_of_its_own_goes_on_under_its_key() {
    let cluster = Cluster::shared();
    let mut client = cluster.connect(&cluster.create_hooks_database());
    let key: String = value(&mut client, KEY);
    run(
        &mut client,
        "select hooks.create_queue('own', 'https://example.com/')",
    );
    let next: i64 = value(&mut client, "select hooks.send('own', 'x', at => '2100-01-01')");
    run(
        &mut client,
        &replicate(&format!("{}; {}", foreign_queue("a"), foreign_queue("b"))),
    );
    assert_eq!(
        value::<i64>(&mut client, "select queues from hooks.adopt()"),
        2,
        "those that came"
    );
    assert_eq!(value::<String>(&mut client, KEY), key);
    assert_eq!(
        value::<i64>(&mut client, "select hooks.send('own', 'x', at => '2100-01-01')"),
        next + 1,
        "all ids under this key are its own"
    );
}

#[test]
fn ids_go_on_after_a_first_row_that_no_sequence_gave() {
    let cluster = Cluster::shared();
    let mut client = cluster.connect(&cluster.create_hooks_database());
    run(&mut client, &replicate(&foreign_queue("first")));
    run(&mut client, "alter sequence hooks.queue_id_seq restart");
    assert_eq!(value::<i64>(&mut client, "select id from hooks.queue"), 1);
    run(&mut client, "select hooks.adopt()");
    let second: i64 = value(
        &mut client,
        "select hooks.create_queue('second', 'https://example.com/')",
    );
    assert_eq!(second, 2);
}

/// Its row says that it belongs where the database did when the statement began.
#[test]
fn queue_that_is_being_made_is_waited_for() {
    let cluster = Cluster::shared();
    let database = cluster.create_hooks_database();
    let mut client = cluster.connect(&database);
    run(&mut client, &replicate(&foreign_queue("theirs")));
    let mut maker = cluster.connect(&database);
    run(
        &mut maker,
        "begin; select hooks.create_queue('new', 'https://example.com/')",
    );
    run(&mut client, "set lock_timeout = '300ms'");
    assert_eq!(refusal(&mut client, "select hooks.adopt()").code, "55P03");
    run(&mut maker, "commit");
    run(&mut client, "select hooks.adopt()");
    assert_eq!(value::<Option<String>>(&mut client, "select hooks.hold()"), None);
}
