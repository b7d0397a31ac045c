//! Credentials that stand in a header.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{Site, value};

use crate::scene::{first_attempt, shown};

#[track_caller]
fn send(site: &mut Site, queue: &str) -> i64 {
    site.value(&format!("select hooks.send('{queue}', 'x')"))
}

#[test]
fn requests_carry_what_the_queue_authenticates_with() {
    let mut site = Site::new();
    for (queue, call, header, value) in [
        (
            "bearer",
            "use_bearer('bearer', 'b34r3r')",
            "authorization",
            "Bearer b34r3r",
        ),
        (
            "basic",
            "use_basic('basic', 'Aladdin', 'open sesame')",
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (
            "key",
            "use_api_key('key', 'X-Api-Key', 'k3y')",
            "x-api-key",
            "k3y",
        ),
    ] {
        site.queue(queue, "");
        site.run(&format!("select hooks.{call}"));
        send(&mut site, queue);
        assert_eq!(site.arrival(queue).header(header), Some(value), "{call}");
    }
}

#[test]
fn credentials_win_over_headers_of_queue_and_message() {
    let mut site = Site::new();
    site.queue("q", r#", headers => '{"Authorization": "Bearer of-the-queue"}'"#);
    site.run("select hooks.use_bearer('q', 'right')");
    site.run(r#"select hooks.send('q', 'x', headers => '{"AUTHORIZATION": "Bearer of-the-message"}')"#);
    let request = site.arrival("q");
    let sent: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(sent, ["Bearer right"]);
}

#[test]
fn one_scheme_takes_the_place_of_another_and_none_is_left_when_removed() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.use_bearer('q', 'first')");
    site.run("select hooks.use_api_key('q', 'X-Key', 'second')");
    send(&mut site, "q");
    let request = site.arrival("q");
    assert_eq!(
        (request.header("authorization"), request.header("x-key")),
        (None, Some("second"))
    );
    assert_eq!(
        site.column::<String>("select purpose from hooks.secret"),
        ["api_key"]
    );
    assert!(!site.value::<bool>("select hooks.remove_auth('q', 'bearer')"));
    assert!(site.value::<bool>("select hooks.remove_auth('q')"));
    send(&mut site, "q");
    let request = site.arrivals("q", 2).pop().unwrap();
    assert_eq!(
        (request.header("authorization"), request.header("x-key")),
        (None, None)
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.secret"), 0);
}

#[test]
fn changed_credentials_count_for_what_is_sent_afterwards() {
    let mut site = Site::new();
    site.queue("q", "");
    for token in ["one", "two", "three"] {
        site.run(&format!(
            "select hooks.use_bearer('q', '{token}'); select hooks.send('q', 'x')"
        ));
        site.settle();
    }
    let sent: Vec<_> = site
        .arrivals("q", 3)
        .iter()
        .map(|request| request.header("authorization").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer one", "Bearer two", "Bearer three"]);
}

#[test]
fn nothing_is_sent_while_the_secret_is_missing() {
    let mut site = Site::new();
    site.queue("q", ", retry_schedule => array['1 s']::interval[]");
    site.run("select hooks.use_bearer('q', 't0k3n')");
    // As after a restore: dumps hold no secrets.
    site.run("select hooks.remove_secret('q', 'bearer')");
    site.run("select hooks.create_queue('other', 'http://127.0.0.1:65535/', max_attempts => 1)");
    send(&mut site, "q");
    let other = send(&mut site, "other");
    first_attempt(&mut site, other);
    assert_eq!(site.arrived("q"), 0);
    site.run("select hooks.use_bearer('q', 'again')");
    assert_eq!(site.arrival("q").header("authorization"), Some("Bearer again"));
}

#[test]
fn credentials_go_to_no_other_place_by_a_redirect() {
    let mut site = Site::new();
    let elsewhere = site.receiver.url("/elsewhere");
    site.receiver.on("/q", Behaviour::redirect(307, &elsewhere));
    site.queue("q", ", max_attempts => 1");
    site.run("select hooks.use_bearer('q', 't0k3n')");
    let id = send(&mut site, "q");
    let attempt = first_attempt(&mut site, id);
    assert_eq!(attempt.result(), (Some(307), Some("status")));
    assert_eq!(site.arrived("elsewhere"), 0);
}

#[test]
fn credentials_are_shown_nowhere() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", max_attempts => 1");
    for call in [
        "use_basic('q', 'visible-user', 's3cr3t-basic')",
        "use_api_key('q', 'X-Visible', 's3cr3t-key')",
        "use_bearer('q', 's3cr3t-bearer')",
    ] {
        site.run(&format!("select hooks.{call}"));
        let id = send(&mut site, "q");
        first_attempt(&mut site, id);
        site.settle();
        let shown = shown(&mut site);
        assert!(!shown.contains("s3cr3t"), "{shown}");
        let visible = value::<i64>(
            &mut site.client,
            "select count(*) from hooks.auth
             where (scheme, username) = ('basic', 'visible-user') or (scheme, header) = ('api_key', 'X-Visible')
                or scheme = 'bearer'",
        );
        assert_eq!(visible, 1, "{call}");
    }
}
