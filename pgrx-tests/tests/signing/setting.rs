//! Setting and removing secrets.

use pg_hooks_tests::site::{Refusal, Site, refusal, run, value};

/// 32 bytes.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazfodPKtvQo=";

fn refused(code: &str, message: &str, hint: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

#[test]
fn malformed_secrets_are_refused_when_they_are_set() {
    let mut site = Site::new();
    site.queue("q", "");
    for (secret, message) in [
        ("whsec_AAAA", "secret has 3 bytes behind whsec_, not 24 to 64"),
        ("whsec_****", "secret has no valid base64 behind whsec_"),
        ("short", "secret is shorter than 16 bytes"),
        (" sixteen bytes are here", "secret begins or ends with a blank"),
        ("", "secret is empty"),
    ] {
        let refusal = site.refusal(&format!("select hooks.set_secret('q', '{secret}')"));
        assert_eq!(
            (refusal.code.as_str(), refusal.message.as_str()),
            ("22023", message)
        );
        assert!(!refusal.hint.is_empty());
    }
    assert_eq!(site.value::<i64>("select count(*) from hooks.secret"), 0);
}

#[test]
fn secret_of_an_unknown_queue_or_purpose_is_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    assert_eq!(
        site.refusal(&format!("select hooks.set_secret('nope', '{SECRET}')"))
            .code,
        "42704"
    );
    assert_eq!(
        site.refusal(&format!("select hooks.set_secret('q', '{SECRET}', 'sining')")),
        refused(
            "22023",
            "purpose of a secret is not known",
            "Use one of signing, signing_ed25519, bearer, basic, api_key, oauth2_client_secret, mtls_key."
        )
    );
}

#[test]
fn a_secret_takes_the_place_of_the_one_before() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(&format!(
        "select hooks.set_secret('q', 'the first of the secrets');
         select hooks.set_secret('q', '{SECRET}');
         select hooks.set_secret('q', 'token', 'bearer')"
    ));
    let held: Vec<String> = site.column(
        "select concat_ws(' ', queue, purpose, form, expires_at) from hooks.secrets order by purpose",
    );
    assert_eq!(held, ["q bearer plain", "q signing whsec"]);
    assert!(site.value::<bool>("select hooks.remove_secret('q')"));
    assert!(!site.value::<bool>("select hooks.remove_secret('q')"));
    assert_eq!(site.value::<i64>("select count(*) from hooks.secrets"), 1);
}

#[test]
fn the_secret_before_counts_until_its_grace_ends() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(&format!(
        "select hooks.set_secret('q', '{SECRET}');
         select hooks.set_secret('q', '{SECRET}', grace => '2 days');
         select hooks.set_secret('q', '{SECRET}', grace => '1 hour')"
    ));
    let graces: Vec<bool> = site.column(
        "select coalesce(expires_at between now() + '59 min' and now() + '61 min', false)
         from hooks.secrets order by created_at",
    );
    assert_eq!(graces, [true, true, false], "a later grace bounds an earlier one");
    site.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    assert_eq!(site.value::<i64>("select count(*) from hooks.secrets"), 1);
}

#[test]
fn not_more_than_four_earlier_secrets_count() {
    let mut site = Site::new();
    site.queue("q", "");
    let set = format!("select hooks.set_secret('q', '{SECRET}', grace => '1 day')");
    site.run(&format!("{set}; {set}; {set}; {set}; {set}"));
    let message = site.refusal(&set).message;
    assert_eq!(message, "4 earlier secrets of this purpose still count");
    let bad = site.refusal("select hooks.set_secret('q', 'sixteen bytes and more', grace => '31 days')");
    assert_eq!(bad.message, "grace must be between 0 and 30 days");
}

#[test]
fn dropping_a_queue_removes_its_secrets() {
    let mut site = Site::new();
    for name in ["q", "r"] {
        site.queue(name, "");
        site.run(&format!("select hooks.set_secret('{name}', '{SECRET}')"));
    }
    site.run("select hooks.drop_queue('q'); delete from hooks.queue where name = 'r'");
    assert_eq!(site.value::<i64>("select count(*) from hooks.secret"), 0);
}

#[test]
fn admins_set_secrets_and_nobody_reads_them() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut admin = site.connect_as_member("hooks_admin");
    run(&mut admin, &format!("select hooks.set_secret('q', '{SECRET}')"));
    assert_eq!(value::<i64>(&mut admin, "select count(*) from hooks.secrets"), 1);
    for query in [
        "select from hooks.secret",
        "select hooks.seal_secret(1, 'bearer', 'x')",
        "delete from hooks.secret",
        "update hooks.secret set content = 'x'",
        "insert into hooks.secret (queue_id, purpose, form, content) values (1, 'bearer', 'plain', 'x')",
    ] {
        assert_eq!(refusal(&mut admin, query).code, "42501", "{query}");
    }
    for role in ["hooks_sender", "hooks_reader"] {
        let mut member = site.connect_as_member(role);
        for query in [
            "select from hooks.secret",
            "select from hooks.secrets",
            "select hooks.set_secret('q', 'sixteen bytes and more')",
            "select hooks.remove_secret('q')",
        ] {
            assert_eq!(refusal(&mut member, query).code, "42501", "{role}: {query}");
        }
    }
}

#[test]
fn refused_secret_is_neither_in_the_error_nor_in_the_log() {
    let cluster = pg_hooks_tests::Cluster::builder().start();
    let database = cluster.create_hooks_database();
    let mut client = cluster.connect(&database);
    run(
        &mut client,
        "select hooks.create_queue('q', 'https://example.com/')",
    );
    for call in [
        "set_secret('q', 'whsec_canary')",
        "set_secret('q', ' canary is the secret')",
        "set_secret('nope', 'canary is the secret')",
        "set_secret('q', 'canary is the secret', 'nope')",
        "set_secret('q', 'canary is the secret', grace => '-1 s')",
    ] {
        let refusal = refusal(&mut client, &format!("select hooks.{call}"));
        assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
    }
    let log = cluster.log();
    assert!(log.contains("ERROR:  secret has no valid base64"), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn earlier_secret_that_does_not_fit_counts_against_new_signatures_only_in_its_grace() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{github}'");
    site.run("select hooks.set_secret('q', 'It''s a Secret to Everybody')");
    site.run("select hooks.rotate_secret('q', grace => '1 day')");
    let alter = "select hooks.alter_queue('q', signatures => '{v1}')";
    assert_eq!(
        site.refusal(alter).message,
        "an earlier secret still counts, and signature v1 needs one that begins with whsec_"
    );
    site.run("update hooks.secret set expires_at = now() where expires_at is not null");
    site.run(alter);
}
