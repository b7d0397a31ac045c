//! What is on the wire, verified by what receivers use.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::site::Site;

use crate::verifier::{assert_verified, verdict};

/// 32 bytes.
pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazfodPKtvQo=";
/// 24 bytes.
pub const OTHER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn signatures(request: &Received) -> Vec<&str> {
    let names = request.headers.iter().map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = names.filter(|name| name.contains("signature")).collect();
    names.sort_unstable();
    names
}

#[test]
fn receivers_verify_every_signature_of_one_request() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{v1,v1a,github,postmand,stripe}'");
    site.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    let public: String = site.value("select hooks.rotate_secret('q', purpose => 'signing_ed25519')");
    assert_eq!(site.value::<String>("select hooks.public_keys('q')"), public);
    site.run(r#"select hooks.send('q', '{"order": 7, "name": "Grüße"}')"#);
    let request = site.arrival("q");
    assert_verified("v1a", &public, OTHER_PUBLIC, &request);
    for scheme in ["v1", "github", "postmand", "stripe"] {
        assert_verified(scheme, SECRET, OTHER, &request);
    }
    assert_eq!(
        signatures(&request),
        [
            "stripe-signature",
            "webhook-signature",
            "x-hub-signature",
            "x-hub-signature-256"
        ]
    );
}

#[test]
fn exact_bytes_of_any_body_are_signed() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{github}'");
    site.run(
        "select hooks.set_secret('q', 'It''s a Secret to Everybody');
         select hooks.send('q', (select string_agg(set_byte('\\x00', 0, b), '') from generate_series(0, 255) as b));
         select hooks.send('q', e' {\"a\" :1}\\r\\n');
         select hooks.send('q', repeat('large ', 100000));
         select hooks.send('q', null::text)",
    );
    let requests = site.arrivals("q", 4);
    for request in &requests {
        assert_eq!(verdict("github", "It's a Secret to Everybody", request), "ok");
    }
    let mut lengths: Vec<usize> = requests.iter().map(|request| request.body.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [0, 11, 256, 600_000]);
}

#[test]
fn each_attempt_is_signed_anew_under_the_same_id() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue(
        "q",
        ", signatures => '{v1,stripe}', retry_schedule => array['2 s']::interval[]",
    );
    site.run(&format!(
        "select hooks.set_secret('q', '{SECRET}'); select hooks.send('q', '{{}}')"
    ));
    let requests = site.arrivals("q", 2);
    assert_eq!(requests[0].webhook_id(), requests[1].webhook_id());
    for header in ["webhook-timestamp", "webhook-signature", "stripe-signature"] {
        assert_ne!(requests[0].header(header), requests[1].header(header), "{header}");
    }
    for request in &requests {
        assert_eq!(verdict("v1", SECRET, request), "ok");
        assert_eq!(verdict("stripe", SECRET, request), "ok");
    }
}

#[test]
fn a_new_secret_signs_whatever_is_sent_after_its_commit() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{v1}'");
    for (place, secret) in [SECRET, OTHER, SECRET].into_iter().enumerate() {
        site.run(&format!("select hooks.set_secret('q', '{secret}')"));
        site.run("select hooks.send('q', '{}')");
        let request = site.arrivals("q", place + 1).pop().unwrap();
        assert_eq!(verdict("v1", secret, &request), "ok");
    }
    site.run(&format!(
        "begin; select hooks.set_secret('q', '{OTHER}'); rollback; select hooks.send('q', '{{}}')"
    ));
    assert_eq!(verdict("v1", SECRET, &site.arrivals("q", 4)[3]), "ok");
    site.run("select hooks.alter_queue('q', signatures => '{}'); select hooks.send('q', '{}')");
    assert!(signatures(&site.arrivals("q", 5)[4]).is_empty());
}

#[test]
fn during_the_grace_both_secrets_verify_and_afterwards_only_the_new_one() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{v1,stripe,github}'");
    site.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    let new: String = site.value("select hooks.rotate_secret('q', '1 hour')");
    assert!(new.starts_with("whsec_") && new != SECRET);
    site.run("select hooks.send('q', '{}')");
    let during = site.arrival("q");
    for scheme in ["v1", "stripe"] {
        assert_verified(scheme, SECRET, OTHER, &during);
        assert_verified(scheme, &new, OTHER, &during);
    }
    assert_verified("github", SECRET, &new, &during);
    site.run(
        "update hooks.secret set expires_at = clock_timestamp() + interval '1 second' where expires_at is not null",
    );
    site.wait_until("select not exists (select from hooks.secret where expires_at > clock_timestamp())");
    site.run("select hooks.send('q', '{}')");
    let after = site.arrivals("q", 2).pop().unwrap();
    for scheme in ["v1", "stripe", "github"] {
        assert_verified(scheme, &new, SECRET, &after);
    }
}

#[test]
fn both_keys_of_ed25519_sign_during_the_grace() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{v1a}'");
    let old: String = site.value("select hooks.rotate_secret('q', purpose => 'signing_ed25519')");
    let new: String = site.value("select hooks.rotate_secret('q', purpose => 'signing_ed25519')");
    let both: Vec<String> = site.column("select * from hooks.public_keys('q')");
    assert_eq!(both, [new.as_str(), old.as_str()]);
    site.run("select hooks.send('q', '{}')");
    let request = site.arrival("q");
    assert_verified("v1a", &old, OTHER_PUBLIC, &request);
    assert_verified("v1a", &new, OTHER_PUBLIC, &request);
}

#[test]
fn generated_secrets_are_taken_and_differ() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{v1,v1a}'");
    let symmetric: String = site.value("select hooks.generate_secret()");
    let private: String = site.value("select hooks.generate_secret('v1a')");
    assert!(symmetric.starts_with("whsec_") && private.starts_with("whsk_"));
    assert_ne!(
        symmetric,
        site.value::<String>("select hooks.generate_secret('v1')")
    );
    site.run(&format!(
        "select hooks.set_secret('q', '{symmetric}');
         select hooks.set_secret('q', '{private}', 'signing_ed25519');
         select hooks.send('q', '{{}}')"
    ));
    let public: String = site.value("select hooks.public_keys('q')");
    let request = site.arrival("q");
    assert_verified("v1", &symmetric, OTHER, &request);
    assert_verified("v1a", &public, OTHER_PUBLIC, &request);
    assert_eq!(site.refusal("select hooks.generate_secret('v2')").code, "22023");
    let refusal = site.refusal("select hooks.rotate_secret('q', purpose => 'bearer')");
    assert_eq!(refusal.message, "a secret for bearer cannot be made up");
}

#[test]
fn nothing_is_sent_unsigned_and_what_waits_goes_once_there_is_a_secret() {
    let mut site = Site::new();
    site.queue(
        "q",
        ", signatures => '{v1}', retry_schedule => array['1 s']::interval[], max_attempts => 100",
    );
    site.run("select hooks.create_queue('unsigned', 'http://127.0.0.1:65535/', max_attempts => 1)");
    site.run("select hooks.send('q', '{}')");
    // What was sent later to another queue has had its turn, so this one is held.
    site.run("select hooks.send('unsigned', '{}')");
    site.wait_until("select exists (select from hooks.attempt)");
    assert_eq!(site.arrived("q"), 0);
    let told: String = site
        .value("select concat_ws(' / ', status, detail) from hooks.health() where check_name = 'secrets'");
    assert_eq!(
        told,
        "warn / 1 secrets are missing, and messages wait for them: \"q\" (signing)"
    );
    site.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    let request = site.arrival("q");
    assert_eq!(verdict("v1", SECRET, &request), "ok");
    site.settle();
    site.run("select hooks.remove_secret('q'); select hooks.send('q', '{}')");
    site.run("select hooks.send('unsigned', '{}')");
    site.wait_until("select count(*) = 2 from hooks.attempt as a join hooks.queue as q on q.id = a.queue_id where q.name = 'unsigned'");
    assert_eq!(site.arrived("q"), 1);
    assert!(!site.value::<bool>("select exists (select from hooks.attempt where error_class = 'secret')"));
}

#[test]
fn missing_secret_uses_up_no_attempt() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{github}', max_attempts => 1");
    site.run("select hooks.create_queue('unsigned', 'http://127.0.0.1:65535/', max_attempts => 1)");
    site.run("select hooks.send('q', '{}')");
    site.run("select hooks.send('unsigned', '{}')");
    site.wait_until("select exists (select from hooks.attempt)");
    site.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    assert_eq!(verdict("github", SECRET, &site.arrival("q")), "ok");
}

#[test]
fn headers_of_users_do_not_replace_signatures() {
    let mut site = Site::new();
    site.queue(
        "q",
        r#", signatures => '{github}', headers => '{"X-Hub-Signature-256": "queue"}'"#,
    );
    site.run(&format!(
        r#"select hooks.set_secret('q', '{SECRET}');
           select hooks.send('q', '{{}}', headers => '{{"x-hub-signature-256": "message"}}')"#
    ));
    let request = site.arrival("q");
    assert_eq!(verdict("github", SECRET, &request), "ok");
    assert_eq!(signatures(&request).len(), 1);
}

#[test]
fn queue_of_another_name_or_with_other_policy_keeps_its_secret() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{github}'");
    site.run(&format!(
        "select hooks.set_secret('q', '{SECRET}');
         select hooks.alter_queue('q', name => 'r', max_attempts => 3);
         select hooks.send('r', '{{}}')"
    ));
    assert_eq!(verdict("github", SECRET, &site.arrival("q")), "ok");
}

#[test]
fn signatures_that_cannot_be_are_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    for (signatures, message) in [
        ("{v2}", "signature \"v2\" is not known"),
        ("{v1,v1}", "signatures must differ"),
        ("{v1,null}", "signatures must not be null"),
    ] {
        let refusal = site.refusal(&format!(
            "select hooks.alter_queue('q', signatures => '{signatures}')"
        ));
        assert_eq!(
            (refusal.code.as_str(), refusal.message.as_str()),
            ("22023", message)
        );
    }
    let null = site.refusal("update hooks.queue set signatures = null");
    assert_eq!(null.message, "signatures must not be null");
    site.run("select hooks.set_secret('q', 'It''s a Secret to Everybody')");
    let needs = "signature v1 needs a secret that begins with whsec_";
    assert_eq!(
        site.refusal("select hooks.alter_queue('q', signatures => '{v1}')")
            .message,
        needs
    );
    site.run(&format!(
        "select hooks.set_secret('q', '{SECRET}'); select hooks.alter_queue('q', signatures => '{{v1}}')"
    ));
    assert_eq!(
        site.refusal("select hooks.set_secret('q', 'It''s a Secret to Everybody')")
            .message,
        needs
    );
}
