//! What is refused when credentials are set, and what is seen of them.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::Site;

#[track_caller]
fn refused(site: &mut Site, call: &str) -> String {
    let refusal = site.refusal(&format!("select hooks.{call}"));
    assert_eq!(refusal.code, "22023", "{call}: {refusal:?}");
    assert!(refusal.hint.ends_with('.'), "{call}: {refusal:?}");
    refusal.message
}

#[test]
fn credentials_that_no_request_can_carry_are_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    for call in [
        "use_bearer('q', null)",
        "use_bearer('q', '')",
        "use_bearer('q', 'Bearer abc')",
        r"use_bearer('q', E'abc\r\nX-Evil: 1')",
        r"use_bearer('q', E'abc\n')",
        "use_bearer('q', 'é')",
        "use_bearer('q', repeat('x', 10000))",
        "use_basic('q', null, 'x')",
        "use_basic('q', 'us:er', 'x')",
        r"use_basic('q', E'us\ner', 'x')",
        r"use_basic('q', 'user', E'pass\nword')",
        "use_basic('q', 'user', null)",
        "use_api_key('q', null, 'x')",
        "use_api_key('q', '', 'x')",
        "use_api_key('q', 'Host', 'x')",
        "use_api_key('q', 'Content-Type', 'x')",
        "use_api_key('q', 'webhook-id', 'x')",
        r"use_api_key('q', E'X-Key: a\r\nX-Evil', 'x')",
        r"use_api_key('q', 'X-Key', E'a\r\nX-Evil: 1')",
        "use_oauth2('q', null, 'id', 'secret')",
        "use_oauth2('q', 'login', 'id', 'secret')",
        "use_oauth2('q', 'https://u:p@example.com/token', 'id', 'secret')",
        "use_oauth2('q', 'https://10.0.0.1/token', 'id', 'secret')",
        "use_oauth2('q', 'https://169.254.169.254/token', 'id', 'secret')",
        "use_oauth2('q', 'ftp://example.com/token', 'id', 'secret')",
        "use_oauth2('q', 'https://example.com/token', null, 'secret')",
        "use_oauth2('q', 'https://example.com/token', 'id', null)",
        r"use_oauth2('q', 'https://example.com/token', E'i\nd', 'secret')",
        "use_oauth2('q', 'https://example.com/token', 'id', 'secret', scope => 'a  b')",
        "use_oauth2('q', 'https://example.com/token', 'id', 'secret', audience => '')",
        "use_oauth2('q', 'https://example.com/token', 'id', 'secret', client_authentication => 'digest')",
        "use_oauth2('q', 'https://example.com/token', 'id', 'secret', client_authentication => null)",
        "remove_auth('q', 'digest')",
    ] {
        refused(&mut site, call);
    }
    assert_eq!(site.value::<i64>("select count(*) from hooks.auth"), 0);
    assert_eq!(site.value::<i64>("select count(*) from hooks.secret"), 0);
    for call in ["use_bearer('nope', 'x')", "remove_auth('nope')"] {
        let refusal = site.refusal(&format!("select hooks.{call}"));
        assert_eq!(refusal.code, "42704", "{call}");
    }
}

#[test]
fn refused_credentials_stand_neither_in_the_error_nor_in_the_log() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().start()));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    for call in [
        r"use_bearer('q', E's3cr3t\n')",
        "use_bearer('q', 's3cr3t s3cr3t')",
        r"use_basic('q', 'us:er', 's3cr3t')",
        r"use_api_key('q', 'X-Key', E's3cr3t\r\n')",
        "use_oauth2('q', 'https://example.com/s3cr3t token', 'id', 's3cr3t')",
        r"use_oauth2('q', 'https://example.com/token', 'id', E's3cr3t\n')",
    ] {
        let refusal = site.refusal(&format!("select hooks.{call}"));
        assert!(!format!("{refusal:?}").contains("s3cr3t"), "{refusal:?}");
    }
    let log = cluster.log();
    assert!(!log.contains("s3cr3t"), "{log}");
    cluster.stop(pg_hooks_tests::cluster::StopMode::Immediate);
}

#[test]
fn queue_takes_what_it_authenticates_with_along_when_it_is_dropped() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.use_bearer('q', 't0k3n'); select hooks.drop_queue('q')");
    assert_eq!(site.value::<i64>("select count(*) from hooks.auth"), 0);
    assert_eq!(site.value::<i64>("select count(*) from hooks.secret"), 0);
}

#[test]
fn dump_holds_what_a_queue_authenticates_with_and_no_secret() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.use_basic('q', 'visible-user', 's3cr3t')");
    let cluster = Cluster::shared();
    let dump = cluster
        .tool("pg_dump")
        .arg(&site.database)
        .output()
        .expect("pg_dump");
    let script = String::from_utf8_lossy(&dump.stdout);
    assert!(
        dump.status.success() && script.contains("visible-user"),
        "{script}"
    );
    let hex: String = b"s3cr3t".iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!script.contains("s3cr3t") && !script.contains(&hex), "{script}");
}
