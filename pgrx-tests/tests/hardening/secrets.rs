//! Rows that are refused are not shown: neither to the client nor in the server's log.

use pg_hooks_tests::Cluster;
use postgres::Client;

use crate::site::{INVALID, Site, refusal_with};

const HEADERS: &str = r#"{"Authorization": "Bearer s3cr3t"}"#;
const BODY: &str = "the s3cr3t body";

#[track_caller]
fn assert_silent(client: &mut Client, statement: &str) {
    let refused = refusal_with(client, statement, &[&HEADERS, &BODY]);
    assert_eq!(refused.code, INVALID, "{statement}: {refused:?}");
    assert!(!format!("{refused:?}").contains("s3cr3t"), "{refused:?}");
}

#[test]
fn refused_message_shows_neither_headers_nor_body() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.queue("q", ", active => false");
    for (columns, values) in [
        ("attempt", "2147483647"),
        ("attempt", "null"),
        ("attempt", "-1"),
        ("attempts_before", "null"),
        ("attempts_before", "1"),
        ("attempts_before", "-1"),
        ("deaths", "null"),
        ("created_at", "null"),
        ("id", "null"),
        ("body_bytes", "'x'"),
        ("due_at", "'infinity'"),
    ] {
        assert_silent(
            &mut site.client,
            &format!(
                "insert into hooks.message (queue_id, headers, body, {columns})
                 select id, $1::text::jsonb, $2, {values} from hooks.queue"
            ),
        );
    }
    assert_silent(
        &mut site.client,
        "insert into hooks.message (queue_id, headers, body) select null, $1::text::jsonb, $2",
    );
    site.client
        .execute(
            "insert into hooks.message (queue_id, headers, body)
             select id, $1::text::jsonb, $2 from hooks.queue",
            &[&HEADERS, &BODY],
        )
        .unwrap();
    for change in [
        "attempt = null",
        "attempt = 2147483647",
        "id = null",
        "created_at = null",
        "deaths = null",
        "body_bytes = 'x'",
    ] {
        let statement = format!(
            "update hooks.message set {change}, headers = $1::text::jsonb where body = $2 and attempt = 0"
        );
        assert_silent(&mut site.client, &statement);
    }
    let log = cluster.log();
    assert!(log.contains("ERROR:"), "errors are logged");
    assert!(!log.contains("s3cr3t"), "{log}");
}

#[test]
fn refused_queue_shows_no_headers() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    for (column, value) in [
        ("method", "null"),
        ("timeout", "null"),
        ("max_attempts", "null"),
        ("max_in_flight", "null"),
        ("active", "null"),
        ("min_backoff", "'1 s'"),
    ] {
        assert_silent(
            &mut site.client,
            &format!(
                "insert into hooks.queue (name, url, headers, description, {column})
                 values ('n', 'https://example.com/', $1::text::jsonb, $2, {value})"
            ),
        );
        assert_silent(
            &mut site.client,
            &format!(
                "update hooks.queue set headers = $1::text::jsonb, description = $2, {column} = {value}"
            ),
        );
    }
    for column in ["name", "url"] {
        assert_silent(
            &mut site.client,
            &format!("update hooks.queue set headers = $1::text::jsonb, description = $2, {column} = null"),
        );
    }
    assert_silent(
        &mut site.client,
        "update hooks.queue
         set headers = $1::text::jsonb, description = $2, retry_schedule = array['1 s']::interval[],
             min_backoff = '1 s', max_backoff = '1 s'",
    );
    let log = cluster.log();
    assert!(log.contains("ERROR:"), "errors are logged");
    assert!(!log.contains("s3cr3t"), "{log}");
}

#[test]
fn queue_without_an_id_is_refused_and_shows_no_headers() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    assert_silent(
        &mut site.client,
        "insert into hooks.queue (id, name, url, headers, description)
         values (null, 'n', 'https://example.com/', $1::text::jsonb, $2)",
    );
    assert_silent(
        &mut site.client,
        "update hooks.queue set id = null, headers = $1::text::jsonb, description = $2",
    );
    assert!(!cluster.log().contains("s3cr3t"), "{}", cluster.log());
}

#[test]
fn times_of_a_queue_that_are_null_become_now() {
    let mut site = Site::new();
    site.run(
        "insert into hooks.queue (name, url, created_at, updated_at)
         values ('q', 'https://example.com/', null, null)",
    );
    assert!(site.value::<bool>("select created_at <= now() and updated_at <= now() from hooks.queue"));
    site.run("update hooks.queue set created_at = null, updated_at = null");
    assert!(site.value::<bool>("select created_at <= now() and updated_at <= now() from hooks.queue"));
}
