//! Tokens of a token endpoint.

use std::time::Instant;

use pg_hooks_tests::receiver::Answer;
use pg_hooks_tests::site::Site;
use pg_hooks_tests::{Behaviour, Receiver};

use crate::scene::{first_attempt, shown};

/// Grants t1, then t2, and so on; the last one stays.
fn granting(count: usize) -> Behaviour {
    let grant = |number| {
        let grant = format!(r#"{{"access_token": "t{number}", "token_type": "Bearer", "expires_in": 3600}}"#);
        Answer::new(200).json(&grant).into()
    };
    Behaviour::Script((1..=count).map(grant).collect())
}

/// Gives the queue client credentials for `/token` of its receiver.
#[track_caller]
fn use_oauth2(site: &mut Site, queue: &str, further: &str) {
    let url = site.receiver.url("/token");
    site.run(&format!(
        "select hooks.use_oauth2('{queue}', '{url}', 'client', 's3cr3t'{further})"
    ));
}

#[track_caller]
fn tokens(site: &Site, queue: &str, count: usize) -> Vec<String> {
    let arrivals = site.arrivals(queue, count);
    arrivals
        .iter()
        .map(|request| request.header("authorization").unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn token_is_asked_for_once_and_goes_with_each_request() {
    let mut site = Site::new();
    site.receiver.on("/token", granting(3));
    site.queue("q", "");
    use_oauth2(
        &mut site,
        "q",
        ", scope => 'orders.write orders.read', audience => 'https://api.example.com'",
    );
    site.run("select hooks.send_batch('q', array(select n::text from generate_series(1, 500) as n))");
    let tokens = tokens(&site, "q", 500);
    assert!(tokens.iter().all(|token| token == "Bearer t1"), "{tokens:?}");
    let asked = site.arrival("token");
    assert_eq!(asked.header("authorization"), Some("Basic Y2xpZW50OnMzY3IzdA=="));
    assert_eq!(
        asked.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        asked.text(),
        "grant_type=client_credentials&scope=orders.write+orders.read&audience=https%3A%2F%2Fapi.example.com"
    );
}

#[test]
fn credentials_of_the_client_go_into_the_body_where_that_is_wanted() {
    let mut site = Site::new();
    site.receiver.on("/token", granting(1));
    site.queue("q", "");
    use_oauth2(&mut site, "q", ", client_authentication => 'body'");
    site.run("select hooks.send('q', 'x')");
    assert_eq!(tokens(&site, "q", 1), ["Bearer t1"]);
    let asked = site.arrival("token");
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(
        asked.text(),
        "grant_type=client_credentials&client_id=client&client_secret=s3cr3t"
    );
}

#[test]
fn rejected_token_is_replaced_within_the_attempt() {
    let mut site = Site::new();
    site.receiver.on("/token", granting(5));
    let rejecting = Behaviour::Script(vec![
        Behaviour::status(200),
        Behaviour::status(401),
        Behaviour::status(200),
    ]);
    site.receiver.on("/q", rejecting);
    site.queue("q", ", max_attempts => 1");
    use_oauth2(&mut site, "q", "");
    for _ in 0..3 {
        site.run("select hooks.send('q', 'x')");
        site.settle();
    }
    assert_eq!(
        tokens(&site, "q", 4),
        ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]
    );
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.attempt where status = 200"),
        3
    );
}

#[test]
fn changed_secret_drops_the_token() {
    let mut site = Site::new();
    site.receiver.on("/token", granting(5));
    site.queue("q", "");
    use_oauth2(&mut site, "q", "");
    site.run("select hooks.send('q', 'x')");
    site.settle();
    let url = site.receiver.url("/token");
    site.run(&format!(
        "select hooks.use_oauth2('q', '{url}', 'client', 'another'); select hooks.send('q', 'x')"
    ));
    assert_eq!(tokens(&site, "q", 2), ["Bearer t1", "Bearer t2"]);
    site.settle();
    site.run("select hooks.set_secret('q', 'a-third', 'oauth2_client_secret'); select hooks.send('q', 'x')");
    assert_eq!(tokens(&site, "q", 3)[2], "Bearer t3");
}

#[test]
fn endpoint_that_gives_no_token_fails_the_attempt_and_sends_nothing() {
    let mut site = Site::new();
    let says = r#"{"error": "invalid_client", "error_description": "who is s3cr3t"}"#;
    site.receiver.on("/token", Answer::new(401).json(says));
    site.queue("q", ", max_attempts => 1, breaker_threshold => null");
    use_oauth2(&mut site, "q", "");
    let began = Instant::now();
    let id: i64 = site.value("select hooks.send('q', 'x')");
    let attempt = first_attempt(&mut site, id);
    assert_eq!(attempt.result(), (None, Some("auth")), "{attempt:?}");
    assert_eq!(
        attempt.said(),
        "could not get a token: token endpoint answered 401"
    );
    site.run("select hooks.send_batch('q', array(select n::text from generate_series(1, 100) as n))");
    site.settle();
    assert_eq!(site.arrived("q"), 0);
    // At most once in five seconds, however many ask.
    let (asked, took) = (site.arrived("token"), began.elapsed());
    assert!(
        asked as u64 <= 2 + took.as_secs() / 5,
        "asked {asked} times in {took:?}"
    );
    let shown = shown(&mut site);
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn hanging_endpoint_costs_only_the_queue_that_needs_it() {
    let mut site = Site::new();
    let endpoint = Receiver::start();
    endpoint.on("/token", Behaviour::Hang);
    site.queue(
        "q",
        ", timeout => '2 s', max_attempts => 1, breaker_threshold => null",
    );
    site.queue("other", "");
    let url = endpoint.url("/token");
    site.run(&format!(
        "select hooks.use_oauth2('q', '{url}', 'client', 's3cr3t')"
    ));
    site.run(
        "select hooks.send_batch('q', array(select n::text from generate_series(1, 20) as n));
         select hooks.send_batch('other', array(select n::text from generate_series(1, 1000) as n))",
    );
    site.arrivals("other", 1000);
    site.settle();
    assert_eq!(site.arrived("q"), 0);
    let classes =
        site.column::<String>("select distinct error_class from hooks.attempt where error_class is not null");
    assert_eq!(classes, ["auth"]);
}
