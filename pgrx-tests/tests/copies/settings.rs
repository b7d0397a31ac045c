//! Settings of a database, and of roles in it: `pg_dump --create` takes them along.

use pg_hooks_tests::site::{refusal, run, value};
use pg_hooks_tests::{Receiver, command};
use postgres::Client;

use crate::scene::{SOON, server, wait_for_state};

const OF_THE_DATABASE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OF_THE_ROLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What is set for the database "original" and for roles there, as the catalog has it.
fn settings(client: &mut Client) -> Vec<String> {
    let query = "select concat_ws(' ', r.rolname, unnest(s.setconfig)) from pg_db_role_setting as s
                 join pg_database as d on d.oid = s.setdatabase and d.datname = 'original'
                 left join pg_roles as r on r.oid = s.setrole order by 1";
    let rows = client.query(query, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn settings_of_a_database_and_of_roles_in_it_come_along_with_a_dump_that_creates_it() {
    let (from, to) = (server(), server());
    let receiver = Receiver::start();
    from.create_database("original");
    let mut source = from.connect("original");
    for client in [&mut source, &mut to.connect("postgres")] {
        run(client, "create role shopkeeper login");
    }
    let url = receiver.url("/q");
    run(
        &mut source,
        &format!(
            "create extension pg_hooks;
             select hooks.create_queue('q', '{url}');
             select hooks.grant_send('q', 'shopkeeper');
             alter database original set hooks.traceparent = '{OF_THE_DATABASE}';
             alter role shopkeeper in database original set hooks.traceparent = '{OF_THE_ROLE}'"
        ),
    );
    let before = settings(&mut source);
    for line in [
        format!("hooks.traceparent={OF_THE_DATABASE}"),
        format!("shopkeeper hooks.traceparent={OF_THE_ROLE}"),
    ] {
        assert!(before.contains(&line), "no {line} in {before:?}");
    }
    let file = from.socket_folder().join("dump");
    command::output(
        from.tool("pg_dump")
            .args(["-Fc", "--create", "original", "-f"])
            .arg(&file),
    )
    .unwrap();
    let mut restore = to.tool("pg_restore");
    command::output(
        restore
            .args(["--create", "--exit-on-error", "-d", "postgres"])
            .arg(file),
    )
    .unwrap();

    let mut copy = to.connect("original");
    assert_eq!(settings(&mut copy), before);
    wait_for_state(&mut copy, "held: restored");
    run(&mut copy, "select hooks.adopt(), hooks.adopt_roles()");
    let mut keeper = to.connect_as("shopkeeper", "original");
    for (client, body, trace) in [
        (&mut copy, "of the owner", OF_THE_DATABASE),
        (&mut keeper, "of the keeper", OF_THE_ROLE),
    ] {
        assert_eq!(value::<String>(client, "show hooks.traceparent"), trace);
        run(client, &format!("select hooks.send('q', '{body}')"));
    }
    for request in receiver.wait_for("/q", 2, SOON) {
        let trace = match request.text() {
            "of the keeper" => OF_THE_ROLE,
            _ => OF_THE_DATABASE,
        };
        assert_eq!(request.header("traceparent"), Some(trace), "{}", request.text());
    }
}

/// They are in `postgresql.conf`, and so in no dump.
#[test]
fn settings_of_the_worker_belong_to_the_server_and_not_to_a_database() {
    let cluster = pg_hooks_tests::Cluster::shared();
    let database = cluster.create_hooks_database();
    let mut client = cluster.connect(&database);
    let names = client
        .query(
            "select name from pg_settings where name like 'hooks.%' and name <> 'hooks.traceparent'",
            &[],
        )
        .unwrap();
    assert!(names.len() > 10, "{names:?}");
    for row in names {
        let name: String = row.get(0);
        let set = format!("alter database {database} set {name} from current");
        assert_eq!(refusal(&mut client, &set).code, "55P02", "{name}");
    }
}
