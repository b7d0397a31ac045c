//! A system that gives no randomness. Only secrets take some of it: new ones, and the encryption of those that are
//! stored. The worker needs none but for TLS, where it is up to the library.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::Site;

const KEYS: [&str; 2] = [
    "old AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "new AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
];

const STORED: &str =
    "select string_agg(s.key_id || ' ' || md5(s.content), ', ' order by s) from hooks.secret as s";

#[test]
fn secrets_that_lack_randomness_are_refused_and_those_that_are_stored_stay() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    let use_keys = |keys: &[&str]| {
        let file = cluster.write_private("keys", &keys.join("\n"));
        cluster.reload(&[("hooks.secret_key_file", file.to_str().expect("UTF-8"))]);
    };
    use_keys(&KEYS[..1]);
    site.queue("q", ", signatures => '{v1}'");
    site.run("select hooks.set_secret('q', 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD')");
    use_keys(&[KEYS[1], KEYS[0]]);
    let before: String = site.value(STORED);

    site.run("set hooks.faults = 'random: fill:always'");
    for call in [
        "select hooks.rotate_secret('q')",
        "select hooks.rotate_secret('q', purpose => 'signing_ed25519')",
        "select hooks.set_secret('q', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')",
    ] {
        let struck = cluster.strikes("random: fill");
        let refused = site.refusal(call);
        assert_eq!(
            (
                refused.code.as_str(),
                refused.message.as_str(),
                refused.hint.as_str()
            ),
            ("55000", "the system gives no randomness", "Try again."),
            "{call}"
        );
        assert_eq!(cluster.strikes("random: fill"), struck + 1, "{call}");
    }
    // Of many secrets, those that cannot be encrypted anew stay as they are.
    assert_eq!(site.value::<i64>("select hooks.reencrypt_secrets()"), 0);
    assert_eq!(site.value::<String>(STORED), before);
    site.run("select hooks.send('q', 'x')");
    site.settle();
    let signed = site.arrival("q");
    assert!(signed.header("webhook-signature").is_some(), "{signed:?}");

    site.run("set hooks.faults = ''; select hooks.rotate_secret('q')");
    assert_eq!(site.value::<i64>("select hooks.reencrypt_secrets()"), 1);
    assert_ne!(site.value::<String>(STORED), before);
}
