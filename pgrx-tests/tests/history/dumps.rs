//! Dumps: what waits and what died is in them, and no history.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{Site, run, value};

use crate::add_day;

#[test]
fn dump_with_partitions_in_place_is_restored() {
    let mut site = Site::new();
    let cluster = Cluster::shared();
    site.queue("q", ", keep_bodies => true");
    site.run("select hooks.send('q', 'x')");
    site.arrival("q");
    site.settle();
    site.run(
        "select hooks.pause('q');
         select hooks.send('q', 'waits')",
    );
    add_day(&mut site, "attempt", "'2031-02-03'");
    add_day(&mut site, "message_log", "'2031-02-03'");
    let dump = cluster
        .tool("pg_dump")
        .args(["-Fp", &site.database])
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let script = String::from_utf8(dump.stdout).unwrap();
    assert!(!script.contains("hooks.attempt"), "history in the dump");
    let copy = format!("{}_copy", site.database);
    cluster.create_database(&copy);
    cluster
        .psql(
            &copy,
            &format!("set session_replication_role = replica; begin;\n{script}\ncommit;"),
        )
        .expect("restored");
    let mut client = cluster.connect(&copy);
    let waiting: i64 = value(
        &mut client,
        "select count(*) from hooks.message where body = 'waits'",
    );
    assert_eq!(waiting, 1);
    run(
        &mut client,
        "insert into hooks.attempt (message_id, attempt, queue_id, attempted_at, duration_ms)
         values (1, 1, 1, now(), 1)",
    );
    drop(client);
    cluster.drop_database(&copy).unwrap();
}
