//! Dumps that are restored.

use std::path::PathBuf;

use pg_hooks_tests::site::{refusal, row, run, value};
use pg_hooks_tests::{Cluster, Receiver, command};
use postgres::Client;

use crate::scene::{SOON, assert_silent, copy_check, original, send_some, server, wait_for_state};

fn dump(cluster: &Cluster, database: &str) -> PathBuf {
    dump_with(cluster, database, &[])
}

fn dump_with(cluster: &Cluster, database: &str, options: &[&str]) -> PathBuf {
    let file = cluster.socket_folder().join("dump");
    let mut dump = cluster.tool("pg_dump");
    command::output(dump.args(["-Fc", database, "-f"]).arg(&file).args(options)).unwrap();
    file
}

/// Restores into a new database; gives a session there.
fn restore(from: &Cluster, to: &Cluster, options: &[&str]) -> Client {
    let file = dump(from, "original");
    to.create_database("restored");
    // Of tables that an extension makes, PostgreSQL does not keep the order of foreign keys then.
    let by_several = options.contains(&"-j");
    let mut restore = if by_several {
        to.tool_with("pg_restore", "-c session_replication_role=replica")
    } else {
        to.tool("pg_restore")
    };
    command::output(restore.args(["-d", "restored"]).args(options).arg(file)).unwrap();
    to.connect("restored")
}

/// Everything that was waiting arrives, once, under the ids that it had, and nothing else has become of it.
fn assert_all_is_sent(receiver: &Receiver, client: &mut Client, key: &str) {
    let mut arrived = receiver.wait_for("/q", 2, SOON);
    arrived.sort_by_key(|request| request.message_id());
    let bodies: Vec<_> = arrived.iter().map(|request| request.text()).collect();
    assert_eq!(bodies, ["waits", "{\"n\": 1}"]);
    for request in &arrived {
        let id = request.message_id().unwrap();
        assert_eq!(request.webhook_id(), Some(format!("msg_{key}_{id}").as_str()));
    }
    assert_eq!(
        value::<String>(client, "select string_agg(body, ' ') from hooks.dead_letter"),
        "dead"
    );
}

fn assert_restored_dump_waits(options: &[&str]) {
    let (from, to) = (server(), server());
    let receiver = Receiver::start();
    let mut source = original(&from, &receiver, "original");
    send_some(&mut source);
    let key: String = value(&mut source, "select webhook_key from hooks.installation");
    let highest: i64 = value(&mut source, "select last_value from hooks.message_id_seq");
    let mut copy = restore(&from, &to, options);

    wait_for_state(&mut copy, "held: restored");
    assert_eq!(
        copy_check(&mut copy),
        "fail: there are queues of another database, as a restore or replication brings them: \
         nothing is sent, and 2 messages are held"
    );
    run(
        &mut copy,
        "select hooks.send('q', 'sent in the copy', at => now() + interval '1 day')",
    );
    run(
        &mut copy,
        "select hooks.send('q', 'x', at => now() + interval '1 day')",
    );
    assert_silent(&receiver);
    let ids: Vec<i64> = copy
        .query("select id from hooks.message order by id desc limit 2", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(ids, [highest + 2, highest + 1], "sequences go on");
    let kept = row(
        &mut copy,
        "select (select description from hooks.queue where name = 'q'),
                (select pattern from hooks.subscription),
                (select schedule || ' ' || timezone || ' ' || owner_name from hooks.cron),
                (select count(*) from hooks.secret)",
    );
    assert_eq!(kept.get::<_, String>(0), "kept");
    assert_eq!(kept.get::<_, String>(1), "order.*");
    assert_eq!(kept.get::<_, String>(2), "0 3 29 2 * Europe/Berlin postgres");
    assert_eq!(kept.get::<_, i64>(3), 0, "no secrets");

    let adopted = row(
        &mut copy,
        "select was, queues, to_send, cancelled from hooks.adopt()",
    );
    assert_eq!(adopted.get::<_, String>(0), "restored");
    assert_eq!(
        [adopted.get::<_, i64>(1), adopted.get(2), adopted.get(3)],
        [2, 4, 0]
    );
    assert_all_is_sent(&receiver, &mut copy, &key);
    wait_for_state(&mut copy, "leading");
    assert!(copy_check(&mut copy).starts_with("ok"));
    let waiting: i64 = value(
        &mut copy,
        "select count(*) from hooks.message where body = 'sent in the copy'",
    );
    assert_eq!(waiting, 1);
    assert!(from.worker_pids("original").is_empty(), "the original sent it");
}

#[test]
fn restored_dump_sends_nothing_until_it_is_adopted_and_then_everything() {
    assert_restored_dump_waits(&[]);
}

/// Then tables come in any order, and each is there before the others.
#[test]
fn dump_that_is_restored_by_several_processes_waits_as_well() {
    assert_restored_dump_waits(&["-j", "4"]);
}

#[test]
fn dump_that_is_restored_in_one_transaction_waits_as_well() {
    assert_restored_dump_waits(&["--single-transaction"]);
}

#[test]
fn dump_that_is_restored_on_the_same_server_can_be_adopted_beside_the_original() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut source = original(&cluster, &receiver, "original");
    send_some(&mut source);
    run(
        &mut source,
        "update hooks.cron set next_run_at = now() - interval '3 days' where name = 'nightly'",
    );
    let mut copy = restore(&cluster, &cluster, &[]);
    wait_for_state(&mut copy, "held: restored");

    let adopted = row(
        &mut copy,
        "select queues, to_send, cancelled from hooks.adopt(waiting => 'cancel')",
    );
    assert_eq!(
        [adopted.get::<_, i64>(0), adopted.get(1), adopted.get(2)],
        [2, 0, 2]
    );
    wait_for_state(&mut copy, "leading");
    assert_silent(&receiver);
    let states = "select count(*) from hooks.message_log where state = 'cancelled'";
    assert_eq!(value::<i64>(&mut copy, states), 2);
    assert!(value::<bool>(
        &mut copy,
        "select next_run_at > now() from hooks.cron"
    ));

    run(&mut copy, "select hooks.send('q', 'of the copy')");
    let request = &receiver.wait_for("/q", 1, SOON)[0];
    let key: String = value(&mut source, "select webhook_key from hooks.installation");
    assert_eq!(request.text(), "of the copy");
    assert!(
        !request.webhook_id().unwrap().contains(&key),
        "ids of the original"
    );
}

#[test]
fn restore_over_the_original_itself_waits_too() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut source = original(&cluster, &receiver, "original");
    send_some(&mut source);
    let file = dump(&cluster, "original");
    drop(source);
    let mut restore = cluster.tool("pg_restore");
    command::output(restore.args(["-d", "original", "--clean"]).arg(file)).unwrap();
    let mut client = cluster.connect("original");
    // It was asked to stay away for minutes.
    run(&mut client, "select hooks.release('0')");
    wait_for_state(&mut client, "held: restored");
    assert_silent(&receiver);
    run(&mut client, "select hooks.adopt()");
    receiver.wait_for("/q", 2, SOON);
}

#[test]
fn adopt_is_for_admins_and_cancels_nothing_where_nothing_is_held() {
    let cluster = Cluster::shared();
    let database = cluster.create_hooks_database();
    let mut client = cluster.connect(&database);
    run(
        &mut client,
        "create role adopter login; grant hooks_admin to adopter; create role stranger login",
    );
    let mut stranger = cluster.connect_as("stranger", &database);
    assert_eq!(refusal(&mut stranger, "select hooks.adopt()").code, "42501");
    let mut admin = cluster.connect_as("adopter", &database);
    assert_eq!(
        value::<Option<String>>(&mut admin, "select was from hooks.adopt()"),
        None
    );
    let refused = refusal(&mut admin, "select hooks.adopt(waiting => 'cancel')");
    assert_eq!(refused.code, "55000");
    assert!(refused.hint.contains("hooks.start_paused"), "{refused:?}");
    assert_eq!(
        refusal(&mut admin, "select hooks.adopt(waiting => 'drop')").code,
        "22023"
    );
    assert_eq!(
        refusal(&mut admin, "select hooks.adopt(waiting => null)").code,
        "22023"
    );
}

/// What a dump needs is done without the checks; what looks like one and is not is checked.
#[test]
fn rows_are_checked_in_sessions_that_restore_nothing() {
    let cluster = Cluster::shared();
    let mut client = cluster.connect(&cluster.create_hooks_database());
    run(&mut client, "set check_function_bodies = off");
    assert_eq!(
        refusal(&mut client, "select hooks.create_queue('q', 'not a url')").code,
        "22023"
    );
    assert_eq!(
        refusal(
            &mut client,
            "insert into hooks.message (queue_id, body) values (99, 'x')"
        )
        .code,
        "42704"
    );
}

/// A database with two watched tables of its own.
fn watched() -> Cluster {
    let from = server();
    from.create_database("original");
    run(
        &mut from.connect("original"),
        "create extension pg_hooks;
         select hooks.create_queue('q', 'http://127.0.0.1:8080/', active => false);
         create table one (id int); create table two (id int);
         select hooks.watch('one', 'q', operations => '{insert}'), hooks.watch('two', 'q', operations => '{insert}')",
    );
    from
}

const WATCHED: &str =
    "select coalesce(string_agg(relation::text, ' ' order by relation::text), '') from hooks.watch_owner";

#[test]
fn dump_that_is_made_while_a_temporary_table_is_watched_is_restored_in_one_transaction() {
    let (from, to) = (watched(), server());
    let mut session = from.connect("original");
    run(
        &mut session,
        "create temporary table mine (id int); select hooks.watch('mine', 'q', operations => '{insert}');
         create table gone (id int); select hooks.watch('gone', 'q', operations => '{insert}'); drop table gone",
    );
    assert_eq!(
        value::<i64>(&mut session, "select count(*) from hooks.watch_owner"),
        4
    );
    let mut copy = restore(&from, &to, &["--single-transaction", "--exit-on-error"]);
    assert_eq!(value::<String>(&mut copy, WATCHED), "one two");
}

#[test]
fn dump_without_a_watched_table_brings_who_watches_the_others_if_it_is_made_of_inserts() {
    let (from, to) = (watched(), server());
    let file = dump_with(&from, "original", &["--inserts", "--exclude-table=public.two"]);
    to.create_database("restored");
    let mut restore = to.tool_with("pg_restore", "-c session_replication_role=replica");
    let restored = command::output(restore.args(["-d", "restored"]).arg(file));
    let failure = restored.expect_err("one row fails").to_string();
    assert!(failure.contains("errors ignored on restore: 1"), "{failure}");
    assert_eq!(value::<String>(&mut to.connect("restored"), WATCHED), "one");
}
