//! What monitors see, and what an idle worker costs.

use std::time::Duration;

use pg_hooks_tests::vitals::cpu_ticks;
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

use crate::rig::{Rig, SOON, database, deliver, send_many, value, wait_for_delivered, wait_for_leader};
use crate::vitals::{open_files, private_memory_kb, resident_memory_kb};

#[test]
fn processes_show_what_they_are_and_that_they_wait() {
    let cluster = Cluster::shared();
    let (name, mut client) = database(cluster);
    for (kind, database) in [
        ("pg_hooks launcher", None),
        ("pg_hooks worker", Some(name.as_str())),
    ] {
        wait_until(format_args!("an idle {kind}"), SOON, || {
            let query = "select concat_ws(' | ', application_name, state, wait_event_type, wait_event, backend_xmin, \
                         xact_start, query) from pg_stat_activity \
                         where backend_type = $1 and datname is not distinct from $2";
            let seen: String = client.query_one(query, &[&kind, &database]).unwrap().get(0);
            if seen.starts_with("pg_hooks | idle | Extension | Extension") {
                Ok(())
            } else {
                Err(seen)
            }
        });
    }
}

#[test]
fn worker_holds_back_no_xmin_while_receivers_hang() {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.rescan_interval", "1h"));
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.earn_slots(&mut client, "q", 64);
    rig.hang("q");
    send_many(&mut client, "q", 64);
    rig.receiver.wait_for("/q", 64, SOON);
    let leading = wait_for_leader(&mut client);
    // What was delivered before is folded a while after it was counted, in a transaction.
    wait_until("all counts to be folded", SOON, || {
        value::<bool>(&mut client, "select not exists (select from hooks.tally_log)")
    });
    let query = "select concat_ws(' | ', backend_xmin, backend_xid, xact_start, state) from pg_stat_activity where pid = $1";
    wait_until("no transaction", SOON, || {
        let seen: String = client.query_one(query, &[&leading]).unwrap().get(0);
        if seen == "idle" { Ok(()) } else { Err(seen) }
    });
    never_within("a transaction is open", Duration::from_millis(500), || {
        client.query_one(query, &[&leading]).unwrap().get::<_, String>(0) != "idle"
    });
    assert_eq!(
        value::<i32>(&mut client, "select in_flight from hooks.worker where leader"),
        64
    );
}

#[test]
fn idle_worker_runs_no_transaction_and_takes_no_time() {
    let settings = [("hooks.rescan_interval", "1h"), ("autovacuum", "off")];
    let builder = settings
        .iter()
        .fold(Cluster::builder(), |builder, (name, value)| {
            builder.setting(name, value)
        });
    let rig = Rig::start_with(builder);
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    deliver(&rig.receiver, &mut client, "q", "hello");
    // Thirty days ahead is no reason to look either.
    client
        .batch_execute("select hooks.send('q', 'far', now() + interval '30 days')")
        .unwrap();
    wait_for_delivered(&mut client, 1);
    let leading = wait_for_leader(&mut client);
    wait_until("all counts to be folded", SOON, || {
        value::<bool>(&mut client, "select not exists (select from hooks.tally_log)")
    });
    drop(client);
    let mut postgres = rig.cluster.connect("postgres");
    let transactions = "select xact_commit + xact_rollback from pg_stat_database where datname = $1";
    let mut count = || {
        postgres
            .query_one(transactions, &[&name])
            .unwrap()
            .get::<_, i64>(0)
    };
    // The statistics of the server come in late.
    let mut before = count();
    wait_until("the statistics to settle", SOON, || {
        std::thread::sleep(Duration::from_millis(1_500));
        let last = std::mem::replace(&mut before, count());
        last == before
    });
    let ticks = cpu_ticks(leading);
    never_within("a transaction ran", Duration::from_secs(3), || {
        std::thread::sleep(Duration::from_millis(50));
        count() != before
    });
    let spent = cpu_ticks(leading) - ticks;
    assert!(spent <= 1, "{spent} ticks in three seconds");
}

#[test]
fn worker_stays_small_and_leaks_no_file() {
    // One queue alone gets half of the slots but the eighth that is kept for others.
    let rig = Rig::start_with(Cluster::builder().setting("hooks.max_in_flight", "585"));
    let (_, mut client) = rig.database();
    let create = "select hooks.create_queue('q', $1, max_in_flight => 256)";
    client.execute(create, &[&rig.receiver.url("/q")]).unwrap();
    let leading = wait_for_leader(&mut client);
    let fresh = (resident_memory_kb(leading), private_memory_kb(leading));
    let earlier = rig.earn_slots(&mut client, "q", 256);
    rig.hang("q");
    send_many(&mut client, "q", 256);
    rig.receiver.wait_for("/q", 256, SOON);
    assert_eq!(rig.receiver.peak_in_flight("/q"), 256);
    rig.receiver.on("/q", Behaviour::status(200));
    rig.receiver.release("/q");
    wait_for_delivered(&mut client, earlier + 256);
    let files = open_files(leading);
    for round in 1..=4 {
        send_many(&mut client, "q", 1250);
        wait_for_delivered(&mut client, earlier + 256 + 1250 * round);
    }
    let now = (resident_memory_kb(leading), private_memory_kb(leading));
    println!(
        "resident and private kB: fresh {fresh:?}, after {} messages {now:?}; files {files}, then {}",
        earlier + 5256,
        open_files(leading)
    );
    assert!(now.0 < 60 * 1024, "{} kB resident", now.0);
    assert!(
        open_files(leading) <= files + 8,
        "{} files, then {}",
        files,
        open_files(leading)
    );
}
