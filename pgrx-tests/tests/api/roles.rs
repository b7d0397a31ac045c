//! Who may do what.

use postgres::Client;

use crate::database::{Database, run, value};
use crate::refusal::{DENIED, Refusal};

/// A member of `role`, or of none, connected to a database that has the queue "good" and two messages.
fn member(database: &Database, role: Option<&str>) -> Client {
    let user = format!("{}_{}", role.unwrap_or("nobody"), database.name());
    let grant = role
        .map(|role| format!("grant {role} to {user};"))
        .unwrap_or_default();
    run(
        &mut database.connect(),
        &format!(
            "create role {user} login; {grant}
             select hooks.create_queue('good', 'https://example.com/');
             select hooks.send_batch('good', array['x', 'y'], at => '2100-01-01')"
        ),
    );
    database.connect_as(&user)
}

#[track_caller]
fn assert_denied(client: &mut Client, statement: &str, message: &str) {
    let Err(error) = client.batch_execute(statement) else {
        panic!("not denied: {statement}");
    };
    let error = error.as_db_error().expect("the server answers");
    let denied = Refusal::new(error.code().code(), error.message(), "");
    assert_eq!(denied, Refusal::new(DENIED, message, ""), "{statement}");
}

#[track_caller]
fn assert_tables_denied(client: &mut Client, privilege: &str, tables: &[&str]) {
    for table in tables {
        let statement = match privilege {
            "select" => format!("select from hooks.{table}"),
            "insert" => format!("insert into hooks.{table} default values"),
            _ => format!("delete from hooks.{table}"),
        };
        let kind = if *table == "worker" { "view" } else { "table" };
        assert_denied(
            client,
            &statement,
            &format!("permission denied for {kind} {table}"),
        );
    }
}

#[track_caller]
fn assert_functions_denied(client: &mut Client, calls: &[&str]) {
    for call in calls {
        let name = call.split('(').next().expect("a call has a name");
        let message = format!("permission denied for function {name}");
        assert_denied(client, &format!("select hooks.{call}"), &message);
    }
}

const ADMINISTRATION: [&str; 12] = [
    "create_queue('bad', 'https://example.com/')",
    "alter_queue('good', max_attempts => 1)",
    "drop_queue('good', true)",
    "pause('good')",
    "resume('good')",
    "cancel(1)",
    "redrive(1)",
    "purge(1)",
    "preview('good')",
    "test_queue('good')",
    "show_dead_letter(1)",
    "note_queue(1)",
];

const ALL_TABLES: [&str; 6] = [
    "queue",
    "message",
    "attempt",
    "message_log",
    "dead_letter",
    "installation",
];

#[test]
fn sender_can_send_in_every_way_and_do_nothing_else() {
    let database = Database::new();
    let mut sender = member(&database, Some("hooks_sender"));
    run(
        &mut sender,
        r#"select hooks.send('good', 'x', at => '2100-01-01', headers => '{"X-A": "b"}');
           select hooks.send('good', '{}'::jsonb, at => '2100-01-01');
           select hooks.send('good', 'x'::bytea, at => '2100-01-01');
           select hooks.send_batch('good', array['x'], at => '2100-01-01');
           select hooks.send_batch('good', array['{}']::jsonb[], at => '2100-01-01');
           select hooks.send_batch('good', array['x']::bytea[], at => '2100-01-01')"#,
    );
    let stored: i64 = value(&mut database.connect(), "select count(*) from hooks.message");
    assert_eq!(stored, 8);
    for privilege in ["select", "insert", "delete"] {
        assert_tables_denied(&mut sender, privilege, &ALL_TABLES);
    }
    assert_tables_denied(&mut sender, "select", &["worker"]);
    assert_functions_denied(&mut sender, &ADMINISTRATION);
    assert_functions_denied(
        &mut sender,
        &["status(1)", "health()", "workers()", "queue_id('good')"],
    );
}

#[test]
fn reader_can_watch_and_do_nothing_else() {
    let database = Database::new();
    let mut reader = member(&database, Some("hooks_reader"));
    run(
        &mut reader,
        "select * from hooks.status(1);
         select * from hooks.health();
         select * from hooks.worker;
         select message_id, status, error, response, response_headers from hooks.attempt;
         select id, state, kept from hooks.message_log;
         select * from hooks.message_state",
    );
    assert_tables_denied(
        &mut reader,
        "select",
        &["queue", "message", "dead_letter", "installation"],
    );
    for privilege in ["insert", "delete"] {
        assert_tables_denied(&mut reader, privilege, &ALL_TABLES);
    }
    assert_functions_denied(&mut reader, &ADMINISTRATION);
    assert_functions_denied(
        &mut reader,
        &["send('good', 'x')", "send_batch('good', array['x'])"],
    );
}

#[test]
fn admin_can_use_everything_as_functions_and_as_tables() {
    let database = Database::new();
    let mut admin = member(&database, Some("hooks_admin"));
    run(
        &mut admin,
        "select hooks.create_queue('made', 'https://example.com/', dead_letter_queue => 'good');
         insert into hooks.queue (name, url) values ('inserted', 'https://example.com/');
         insert into hooks.message (queue_id, body, due_at)
           select id, 'x', '2100-01-01' from hooks.queue where name = 'inserted';
         select hooks.send('made', 'x', at => '2100-01-01');
         select hooks.send('made', '1'::jsonb, at => '2100-01-01');
         select hooks.alter_queue('made', max_attempts => 3);
         update hooks.queue set active = false where name = 'made';
         select hooks.resume('made');
         select hooks.cancel(1);
         select hooks.redrive(1);
         select hooks.drop_queue('made', cancel_messages => true);
         delete from hooks.message;
         delete from hooks.queue where name = 'inserted';
         table hooks.worker;
         table hooks.attempt;
         table hooks.dead_letter;
         select * from hooks.health(), hooks.status(1)",
    );
}

#[test]
fn admin_can_delete_and_change_what_has_an_ordering_key() {
    let database = Database::new();
    let mut admin = member(&database, Some("hooks_admin"));
    run(
        &mut admin,
        "select hooks.send_batch('good', array['x', 'y'], at => '2100-01-01', ordering_key => 'a');
         insert into hooks.dead_letter (id, queue_id, attempts, created_at, due_at, dead_at, ordering_key)
           select n, hooks.queue_id('good'), 1, now(), now(), now(), 'a' from generate_series(11, 13) as n;
         update hooks.message set ordering_key = 'b' where body = 'x';
         update hooks.dead_letter set ordering_key = 'b' where id = 11;
         delete from hooks.dead_letter where id = 11;
         delete from hooks.message where body = 'x';
         select hooks.redrive(12);
         select hooks.cancel(12);
         delete from hooks.message;
         delete from hooks.dead_letter",
    );
}

#[test]
fn admin_cannot_make_others_run_his_code() {
    let database = Database::new();
    let mut admin = member(&database, Some("hooks_admin"));
    for table in ["queue", "message", "message_log", "attempt", "dead_letter"] {
        let trigger = format!(
            "create trigger mine before insert on hooks.{table}
             for each row execute function pg_catalog.suppress_redundant_updates_trigger()"
        );
        assert_denied(
            &mut admin,
            &trigger,
            &format!("permission denied for table {table}"),
        );
    }
    assert_denied(
        &mut admin,
        "create table hooks.mine (id integer)",
        "permission denied for schema hooks",
    );
}

#[test]
fn user_without_a_role_can_do_nothing() {
    let database = Database::new();
    let mut user = member(&database, None);
    for statement in [
        "select hooks.send('good', 'x')",
        "table hooks.message",
        "table hooks.worker",
        "select hooks.health()",
    ] {
        assert_denied(&mut user, statement, "permission denied for schema hooks");
    }
}

#[test]
fn only_a_superuser_creates_the_extension() {
    let database = Database::new();
    let mut user = member(&database, Some("hooks_admin"));
    let Err(error) = user.batch_execute("drop extension pg_hooks") else {
        panic!("an ordinary user dropped the extension");
    };
    assert_eq!(error.code().map(|code| code.code()), Some(DENIED));
    run(&mut database.connect(), "drop extension pg_hooks");
    let Err(error) = user.batch_execute("create extension pg_hooks") else {
        panic!("an ordinary user created the extension");
    };
    let error = error.as_db_error().expect("the server answers");
    let refused = Refusal::new(
        error.code().code(),
        error.message(),
        error.hint().unwrap_or_default(),
    );
    assert_eq!(
        refused,
        Refusal::new(
            DENIED,
            "permission denied to create extension \"pg_hooks\"",
            "Must be superuser to create this extension."
        )
    );
}

#[test]
fn admin_sends_by_a_plain_insert_that_names_the_queue() {
    let database = Database::new();
    let mut admin = member(&database, Some("hooks_admin"));
    run(
        &mut admin,
        "insert into hooks.message (queue_id, body, due_at) values (hooks.queue_id('good'), 'z', '2100-01-01')",
    );
    let stored: i64 = value(&mut admin, "select count(*) from hooks.message where body = 'z'");
    assert_eq!(stored, 1);
}
