//! Dumps that are restored where they would be sent at once.

use std::path::Path;
use std::process::Output;

use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::{Cluster, Receiver, command};

use crate::scene::{SOON, assert_silent, original, send_some, server, wait_for_state};

fn restore(cluster: &Cluster, database: &str, options: &[&str], file: &Path) -> Output {
    let mut restore = cluster.tool("pg_restore");
    restore.args(["-d", database]).args(options).arg(file);
    restore.output().unwrap()
}

/// A dump of "original", which has something of everything.
fn dump(cluster: &Cluster) -> std::path::PathBuf {
    let file = cluster.socket_folder().join("dump");
    let mut dump = cluster.tool("pg_dump");
    command::output(dump.args(["-Fc", "original", "-f"]).arg(&file)).unwrap();
    file
}

#[track_caller]
fn assert_refused(output: &Output) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{complaint}");
    assert!(complaint.contains("queues of its own"), "{complaint}");
    assert!(complaint.contains("pg_restore --clean"), "{complaint}");
}

#[test]
fn messages_of_a_dump_are_not_sent_again_by_the_database_that_they_are_from() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut source = original(&cluster, &receiver, "original");
    send_some(&mut source);
    let file = dump(&cluster);
    run(&mut source, "select hooks.release('0')");
    receiver.wait_for("/q", 2, SOON);
    wait_for_state(&mut source, "leading");
    assert_refused(&restore(&cluster, "original", &[], &file));
    assert_silent(&receiver);
    assert_eq!(value::<i64>(&mut source, "select count(*) from hooks.message"), 0);
    // Nor do the ids of sequences come again, when the restore ends with its first error.
    let last = "select last_value from hooks.message_id_seq";
    run(
        &mut source,
        "select hooks.send('q', 'x', at => '2100-01-01') from generate_series(1, 10)",
    );
    let before: i64 = value(&mut source, last);
    assert_refused(&restore(
        &cluster,
        "original",
        &[
            "--data-only",
            "--single-transaction",
            "--table=message",
            "--table=message_id_seq",
        ],
        &file,
    ));
    assert_eq!(value::<i64>(&mut source, last), before);
}

#[test]
fn messages_of_a_dump_are_not_buried_where_queues_were_dropped() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut source = original(&cluster, &receiver, "original");
    send_some(&mut source);
    let file = dump(&cluster);
    cluster.create_database("used");
    let mut used = cluster.connect("used");
    run(
        &mut used,
        "create extension pg_hooks;
         select hooks.create_queue('q', 'https://example.com/');
         select hooks.drop_queue('q')",
    );
    assert_refused(&restore(&cluster, "used", &["--data-only"], &file));
    assert_silent(&receiver);
    let kept = "select (select count(*) from hooks.message)
                     + (select count(*) from hooks.dead_letter where error_class = 'queue_dropped')";
    assert_eq!(value::<i64>(&mut used, kept), 0);
}

/// What a user's own trigger sends while his table is restored is sent like anything else.
#[test]
fn table_whose_trigger_sends_is_restored_with_what_that_sends() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut client = original(&cluster, &receiver, "original");
    run(
        &mut client,
        "create table noted (what text);
         create function tell() returns trigger language plpgsql as
           $$ begin perform hooks.send('q', new.what); return new; end $$;
         create trigger tell after insert on noted for each row execute function tell();
         alter table noted disable trigger tell;
         insert into noted values ('restored');
         alter table noted enable always trigger tell",
    );
    let file = dump(&cluster);
    let output = restore(&cluster, "original", &["--data-only", "--table=noted"], &file);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    run(&mut client, "select hooks.release('0')");
    assert_eq!(receiver.wait_for("/q", 1, SOON)[0].text(), "restored");
}
