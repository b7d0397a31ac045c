//! A version before this one and one after it, made up from this one: whichever of library and extension is older,
//! the worker idles, and nothing is lost.

use std::time::Duration;

use pg_hooks_tests::releases::CURRENT;
use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, install, scratch, wait_until};
use postgres::Client;

use crate::catalog::{assert_same, catalog};

const SOON: Duration = Duration::from_secs(30);
const OLDER: &str = "0.0.1";
const NEWER: &str = "99.0.0";

/// What the older version lacks: a column, a function with its comment and rights, a view.
const LACKS: &str = "
drop function hooks.is_healthy();
drop view hooks.secrets;
alter table hooks.queue_state drop column last_failure_at;
";

/// A server whose library is of this version, with extensions of two others besides.
fn server() -> Cluster {
    let tree = install::with_extension().unwrap();
    let current = tree.install_script().unwrap();
    let definition = |from: &str, to: &str| -> String {
        let begin = current.find(from).unwrap_or_else(|| panic!("no {from}"));
        let end = begin + current[begin..].find(to).unwrap_or_else(|| panic!("no {to}"));
        current[begin..end].to_owned()
    };
    let update = format!(
        "alter table hooks.queue_state add column last_failure_at timestamptz;
         comment on column hooks.queue_state.last_failure_at is 'When an attempt last failed; up to an hour stale.';
         {}
         grant execute on function hooks.is_healthy() to hooks_admin, hooks_reader;
         revoke all on function hooks.is_healthy() from public;
         {}
         grant select on hooks.secrets to hooks_admin;
         select hooks.announce();\n",
        definition("create function hooks.is_healthy()", "/*"),
        definition("create view hooks.secrets", "/*"),
    );
    let older = current.replace(
        "select hooks.announce();",
        &format!("{LACKS}select hooks.announce();"),
    );
    assert_ne!(older, current);
    let scripts = [
        (format!("pg_hooks--{OLDER}.sql"), older),
        (format!("pg_hooks--{OLDER}--{CURRENT}.sql"), update),
        (
            format!("pg_hooks--{CURRENT}--{NEWER}.sql"),
            "select hooks.announce();".to_owned(),
        ),
        (
            format!("pg_hooks--{NEWER}--{CURRENT}.sql"),
            "select hooks.announce();".to_owned(),
        ),
    ];
    let tree = tree
        .with_scripts(scratch::folder().join("tree"), &scripts)
        .unwrap();
    Cluster::builder().start_of(tree)
}

#[track_caller]
fn wait_for_state(client: &mut Client, state: &str) {
    let query = format!("select exists (select from hooks.worker as w where w.state = '{state}')");
    wait_until(format_args!("a worker that is {state}"), SOON, || {
        value::<bool>(client, &query)
    });
}

#[test]
fn extension_of_an_older_version_is_used_updated_and_then_served() {
    let cluster = server();
    let receiver = Receiver::start();
    cluster.create_database("updated");
    let mut client = cluster.connect("updated");
    run(
        &mut client,
        &format!("create extension pg_hooks version '{OLDER}'"),
    );
    run(
        &mut client,
        &format!(
            "select hooks.create_queue('q', '{}', signatures => '{{github}}');
             select hooks.set_secret('q', 'of before the update');
             select hooks.send('q', 'one');
             select hooks.send('q', 'later', at => '2100-01-01');
             select hooks.cancel(hooks.send('q', 'cancelled'))",
            receiver.url("/q")
        ),
    );
    wait_for_state(&mut client, "held: version");
    never_within("something was sent", Duration::from_secs(1), || {
        receiver.count() > 0
    });
    let hint: String = value(
        &mut client,
        "select hint from hooks.health() where check_name = 'copy'",
    );
    assert!(hint.contains("ALTER EXTENSION pg_hooks UPDATE"), "{hint}");

    run(&mut client, "alter extension pg_hooks update");
    wait_for_state(&mut client, "leading");
    let request = &receiver.wait_for("/q", 1, SOON)[0];
    assert_eq!(request.text(), "one");
    assert!(
        request.header("x-hub-signature-256").is_some(),
        "the secret was kept"
    );
    let kept = "select (select count(*) from hooks.message where body = 'later')
                     + (select count(*) from hooks.message_log where state = 'cancelled')";
    assert_eq!(value::<i64>(&mut client, kept), 2);

    let fresh = catalog(&mut cluster.connect(&cluster.create_hooks_database()));
    assert_same(&catalog(&mut client), &fresh);
}

#[test]
fn library_that_is_older_than_the_extension_stops_and_loses_nothing() {
    let cluster = server();
    let receiver = Receiver::start();
    let database = cluster.create_hooks_database();
    let mut client = cluster.connect(&database);
    let url = receiver.url("/q");
    run(
        &mut client,
        &format!("select hooks.create_queue('q', '{url}'); select hooks.send('q', 'before')"),
    );
    receiver.wait_for("/q", 1, SOON);
    // As installing a new package and not restarting the server does.
    run(
        &mut client,
        &format!("alter extension pg_hooks update to '{NEWER}'"),
    );
    wait_for_state(&mut client, "held: version");
    run(&mut client, "select hooks.send('q', 'between')");
    never_within("something was sent", Duration::from_secs(1), || {
        receiver.count() > 1
    });
    assert!(
        cluster
            .log()
            .contains("library and extension are of different versions")
    );
    // With the library of that version it would go on; here the extension comes back.
    run(
        &mut client,
        &format!("alter extension pg_hooks update to '{CURRENT}'"),
    );
    assert_eq!(receiver.wait_for("/q", 2, SOON)[1].text(), "between");
}
