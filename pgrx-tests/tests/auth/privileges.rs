//! Who may set credentials, and who sees what of them.

use pg_hooks_tests::site::{Site, refusal, run, value};

const DENIED: &str = "42501";

#[test]
fn admins_set_credentials_and_see_all_but_the_secret() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut admin = site.connect_as_member("hooks_admin");
    run(&mut admin, "select hooks.use_basic('q', 'user', 's3cr3t')");
    assert_eq!(
        value::<String>(&mut admin, "select username from hooks.auth"),
        "user"
    );
    for statement in [
        "select content from hooks.secret",
        "insert into hooks.auth (queue_id, scheme) values (1, 'bearer')",
        "update hooks.auth set username = 'other'",
        "delete from hooks.auth",
        "select hooks.store_auth('q', 'bearer', '{}', 'x')",
    ] {
        assert_eq!(refusal(&mut admin, statement).code, DENIED, "{statement}");
    }
    run(&mut admin, "select hooks.remove_auth('q')");
}

#[test]
fn senders_neither_set_nor_see_and_readers_see() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.use_basic('q', 'user', 's3cr3t')");
    for role in ["hooks_sender", "hooks_reader"] {
        let mut member = site.connect_as_member(role);
        for statement in [
            "select hooks.use_bearer('q', 'x')",
            "select hooks.use_basic('q', 'x', 'x')",
            "select hooks.use_api_key('q', 'x', 'x')",
            "select hooks.use_oauth2('q', 'https://example.com/', 'x', 'x')",
            "select hooks.use_certificate('q', 'x', 'x')",
            "select hooks.remove_auth('q')",
        ] {
            assert_eq!(
                refusal(&mut member, statement).code,
                DENIED,
                "{role}: {statement}"
            );
        }
        let look =
            "select count(*) from (select scheme, username, client_id, certificate from hooks.auth) as a";
        if role == "hooks_reader" {
            assert_eq!(value::<i64>(&mut member, look), 1);
            let endpoint = "select token_url from hooks.auth";
            assert_eq!(refusal(&mut member, endpoint).code, DENIED);
        } else {
            assert_eq!(refusal(&mut member, look).code, DENIED);
        }
    }
}
