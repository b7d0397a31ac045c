//! Where a secret must not turn up.

use pg_hooks_tests::site::{SOON, value};
use pg_hooks_tests::{Answer, Behaviour, Cluster, command, wait_until};
use postgres::Client;

use crate::site::Server;

const KEY: &str = "k AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "k AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Every secret of these tests begins with this.
const CANARY: &str = "canary-in-a-coal-mine";

/// User name and password of [`SCHEMES`] as they go over the wire.
const PAIR: &str = "dXNlcjpjYW5hcnktaW4tYS1jb2FsLW1pbmUtcGFzc3dvcmQ";

/// A queue for each scheme, what sets it, and the header and value that are sent.
const SCHEMES: [(&str, &str, &str, &str); 4] = [
    (
        "bearer",
        "use_bearer('bearer', 'canary-in-a-coal-mine-bearer')",
        "authorization",
        "Bearer canary-in-a-coal-mine-bearer",
    ),
    (
        "basic",
        "use_basic('basic', 'user', 'canary-in-a-coal-mine-password')",
        "authorization",
        "Basic dXNlcjpjYW5hcnktaW4tYS1jb2FsLW1pbmUtcGFzc3dvcmQ=",
    ),
    (
        "key",
        "use_api_key('key', 'X-Foo', 'canary-in-a-coal-mine-key')",
        "x-foo",
        "canary-in-a-coal-mine-key",
    ),
    (
        "oauth2",
        "use_oauth2('oauth2', $1, 'client', 'canary-in-a-coal-mine-client')",
        "authorization",
        "Bearer canary-in-a-coal-mine-token",
    ),
];

#[track_caller]
fn assert_silent(place: &str, text: &str) {
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let lines = text.lines();
    let told: Vec<&str> = lines
        .filter(|line| line.contains(CANARY) || line.contains(PAIR) || line.to_lowercase().contains(&hex))
        .collect();
    assert!(told.is_empty(), "{place}: {told:#?}");
}

#[track_caller]
fn set(client: &mut Client, secret: &str, purpose: &str) {
    let secret = format!("{CANARY}-{secret}");
    client
        .execute("select hooks.set_secret('q', $1, $2)", &[&secret, &purpose])
        .unwrap();
}

/// All rows of this relation as text.
fn rows(client: &mut Client, relation: &str) -> String {
    let query = format!("select coalesce(string_agg(r::text, e'\\n'), '') from {relation} as r");
    client.query_one(&query, &[]).unwrap().get(0)
}

fn relations(client: &mut Client) -> Vec<String> {
    let query = "select c.oid::regclass::text from pg_class as c
                 where c.relnamespace = 'hooks'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
                   and c.relname <> 'secret' order by 1";
    let rows = client.query(query, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Sends with a credential of each scheme to receivers that repeat it, first failing, then delivering, and looks at
/// what came of it in every way.
fn authenticate_in_every_way(server: &mut Server, admin: &mut Client) {
    let token =
        format!(r#"{{"access_token": "{CANARY}-token", "token_type": "bearer", "expires_in": 3600}}"#);
    server.receiver.on("/token", Answer::new(200).json(&token));
    for (queue, call, header, value) in SCHEMES {
        let mut repeated = format!("you said {value}");
        if queue == "basic" {
            repeated += &format!(", user:{CANARY}-password");
        }
        let answer =
            |status| Behaviour::Answer(Answer::new(status).header("x-said", &repeated).text(&repeated));
        let path = format!("/{queue}");
        server
            .receiver
            .on(&path, Behaviour::Script(vec![answer(500), answer(200)]));
        let url = server.receiver.url(&path);
        server.run(&format!(
            "select hooks.create_queue('{queue}', '{url}', retry_schedule => array['200 ms']::interval[])"
        ));
        let endpoint = format!("'{}'", server.receiver.url("/token"));
        pg_hooks_tests::site::run(admin, &format!("select hooks.{}", call.replace("$1", &endpoint)));
        server.run(&format!("select hooks.send('{queue}', '{{}}')"));
        let arrived = server.receiver.wait_for(&path, 2, SOON);
        assert_eq!(arrived[1].header(header), Some(value), "{queue}");
        for look in [
            format!("hooks.preview('{queue}', '{{}}')"),
            format!("hooks.test_queue('{queue}')"),
        ] {
            assert_silent(&look, &rows(admin, &look));
        }
    }
    server.wait_until("select count(*) = 8 from hooks.list_attempts() where queue_name <> 'q'");
    let attempts = rows(
        admin,
        "(select encode(response, 'escape') || response_headers::text from hooks.attempt)",
    );
    assert_eq!(attempts.matches("you said").count(), 16, "{attempts}");
    assert_silent("answers", &attempts);
    for look in [
        "report",
        "list_messages",
        "list_attempts",
        "list_dead_letters",
        "list_queues",
        "health",
    ] {
        let look = format!("hooks.{look}()");
        assert_silent(&look, &rows(admin, &look));
    }
}

/// Sets secrets in every way, has them used, has them fail, and restarts the worker.
fn live_through_everything(server: &mut Server) {
    server.receiver.on("/q", Behaviour::failing(1, 500));
    server.queue(
        ", signatures => '{github,postmand,stripe}', retry_schedule => array['200 ms']::interval[], max_attempts => 50",
    );
    server.run("create role admin login in role hooks_admin");
    let mut admin = server.cluster.connect_as("admin", &server.database);
    for (secret, purpose) in [
        ("one", "signing"),
        ("two", "bearer"),
        ("three", "basic"),
        ("four", "api_key"),
        ("five", "oauth2_client_secret"),
    ] {
        set(&mut admin, secret, purpose);
    }
    let file = format!("{CANARY}-six");
    server.cluster.write_private("secrets/six", &file);
    server.use_directory("secrets");
    server.run("select hooks.send('q', '{}')");
    server.arrival(2);
    server.use_keys(&[KEY]);
    set(&mut admin, "seven", "signing");
    server.run("select hooks.send('q', '{}'); select hooks.reencrypt_secrets()");
    server.arrival(3);
    server.run("select hooks.set_secret_file('q', 'six'); select hooks.send('q', '{}')");
    server.arrival(4);
    set(&mut admin, "eight", "signing");
    authenticate_in_every_way(server, &mut admin);
    // Refused, with the secret as a parameter and in the statement.
    let bad = format!(" {CANARY}-nine");
    admin
        .execute("select hooks.set_secret('q', $1)", &[&bad])
        .unwrap_err();
    let refused = admin
        .batch_execute(&format!("select hooks.set_secret('q', '{bad}')"))
        .unwrap_err();
    assert_silent("error", &format!("{refused:?}"));
    // The same from the inside of another function, whose context shows statements.
    for call in [
        format!("set_secret('q', '{bad}')"),
        format!("set_secret('typo', '{CANARY}-eleven')"),
        format!("use_bearer('typo', '{CANARY}-twelve')"),
        format!("use_basic('q', 'a:b', '{CANARY}-thirteen')"),
        format!("use_api_key('q', 'a b', '{CANARY}-fourteen')"),
        format!("use_oauth2('q', 'ftp://x', 'id', '{CANARY}-fifteen')"),
        format!("use_certificate('q', 'none', '{CANARY}-sixteen')"),
    ] {
        let refused = admin
            .batch_execute(&format!("do $do$ begin perform hooks.{call}; end $do$"))
            .unwrap_err();
        assert_silent("error", &format!("{refused:?}"));
    }
    // Cannot be decrypted any more.
    server.use_keys(&[OTHER_KEY]);
    server.run("select hooks.alter_queue('q', max_attempts => 2); select hooks.send('q', '{}')");
    server.wait_for_log("pg_hooks holds the messages of queue");
    server.run("select hooks.reencrypt_secrets(); select pg_terminate_backend(pid) from hooks.worker");
    server.wait_until("select exists (select from hooks.worker where leader)");
}

#[test]
fn no_log_view_statistic_or_record_tells_a_secret() {
    let builder = Cluster::builder()
        .setting("shared_preload_libraries", "pg_hooks, pg_stat_statements")
        .setting("pg_stat_statements.track", "all")
        .setting("log_min_messages", "debug5")
        .setting("log_statement", "none")
        .setting("log_parameter_max_length_on_error", "-1")
        .setting("log_error_verbosity", "verbose");
    let mut server = Server::of(builder);
    server.run("create extension pg_stat_statements");
    live_through_everything(&mut server);
    // A literal: not logged, and normalised.
    server.run(&format!(
        "select hooks.set_secret('q', '{CANARY}-ten-in-a-statement')"
    ));
    server.run("select 'another statement'");
    let log = server.cluster.log();
    assert!(log.contains("DEBUG:"), "the log is as talkative as can be");
    assert_silent("log", &log);
    for relation in relations(&mut server.client) {
        let rows = rows(&mut server.client, &relation);
        assert_silent(&relation, &rows);
    }
    let statements = rows(&mut server.client, "pg_stat_statements");
    assert!(statements.contains("hooks.set_secret("), "{statements}");
    assert_silent("pg_stat_statements", &statements);
    let activity = rows(&mut server.client, "pg_stat_activity");
    assert_silent("pg_stat_activity", &activity);
}

#[test]
fn where_all_statements_are_logged_files_rotation_and_parameters_stay_out() {
    let builder = Cluster::builder()
        .setting("log_statement", "all")
        .setting("log_min_duration_statement", "0")
        .setting("log_parameter_max_length", "0");
    let mut server = Server::of(builder);
    server
        .cluster
        .write_private("secrets/six", &format!("{CANARY}-six"));
    server.use_directory("secrets");
    server.queue(", signatures => '{github}'");
    server.run("select hooks.set_secret_file('q', 'six')");
    set(&mut server.client, "seven", "bearer");
    let rotated: String = server.value("select hooks.rotate_secret('q')");
    server.run("select hooks.send('q', '{}')");
    server.arrival(1);
    let log = server.cluster.log();
    assert!(log.contains("hooks.rotate_secret("), "statements are logged");
    assert_silent("log", &log);
    assert!(!log.contains(&rotated));
}

#[test]
fn dumps_hold_no_secret_and_a_restored_queue_sends_nothing_unsigned() {
    let mut server = Server::start();
    server.queue(", signatures => '{github}'");
    set(&mut server.client, "one", "signing");
    let dump = command::output(server.cluster.tool("pg_dump").arg(&server.database)).unwrap();
    assert!(dump.contains("COPY hooks.queue ") && !dump.contains("COPY hooks.secret "));
    assert_silent("dump", &dump);

    server.cluster.create_database("restored");
    let file = server.cluster.write_private("dump.sql", &dump);
    let mut restore = server
        .cluster
        .tool_with("psql", "-c session_replication_role=replica");
    restore.args([
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set",
        "ON_ERROR_STOP=1",
    ]);
    command::output(restore.args(["--dbname", "restored", "--file"]).arg(file)).unwrap();
    let mut restored = server.cluster.connect("restored");
    let receiver = server.receiver.count();
    pg_hooks_tests::site::run(
        &mut restored,
        "select hooks.adopt(); select hooks.send('q', '{}')",
    );
    wait_until("the restored queue to be held", SOON, || {
        value::<bool>(
            &mut restored,
            "select exists (select from hooks.queue_state where state = 'held'
               and reason like '%secret for signing is missing; dumps hold none: set it with hooks.set_secret()')",
        )
    });
    assert_eq!(server.receiver.count(), receiver);
}

#[test]
fn those_who_may_read_and_write_all_tables_neither_read_secrets_nor_write_them() {
    let mut server = Server::start();
    server.queue(", signatures => '{github}'");
    set(&mut server.client, "one", "signing");
    server.run("create role all_data login in role pg_read_all_data, pg_write_all_data");
    let mut all_data = server.cluster.connect_as("all_data", &server.database);
    assert_eq!(rows(&mut all_data, "hooks.secret"), "");
    let refused = pg_hooks_tests::site::refusal(
        &mut all_data,
        "insert into hooks.secret (queue_id, purpose, form, file) select q.id, 'bearer', 'plain', 'shop/key' from hooks.queue as q",
    );
    assert_eq!(refused.code, "42501", "{refused:?}");
    pg_hooks_tests::site::run(
        &mut all_data,
        "update hooks.secret set file = 'x', content = null; delete from hooks.secret",
    );
    assert!(server.value::<bool>("select count(*) = 1 and bool_and(file is null) from hooks.secret"));
    server.run("select hooks.send('q', '{}')");
    server.arrival(1);
}
