//! Servers of openssl that ask for a certificate of the client.

use pg_hooks_tests::site::Site;

use crate::openssl::OpenSsl;
use crate::pki::{Authority, Issued};
use crate::scene::{Trusting, attempt, get_queue, shown};

/// A server that serves clients of `clients` only.
#[track_caller]
fn demanding(clients: &Authority, option: &str) -> OpenSsl {
    let identity = Trusting::shared().issue(|authority| authority.server(&["127.0.0.1"]));
    let ca_file = clients.file();
    OpenSsl::start(
        &identity,
        &[
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
            &ca_file.to_string_lossy(),
            option,
        ],
    )
}

#[track_caller]
fn use_certificate(site: &mut Site, queue: &str, certificate: &str, key: &str) {
    let set = "select hooks.use_certificate($1, $2, $3)";
    site.client.execute(set, &[&queue, &certificate, &key]).unwrap();
}

#[test]
fn client_certificate_is_shown_to_the_server_that_asks_for_it() {
    let clients = Authority::new();
    for option in ["-tls1_2", "-tls1_3"] {
        let server = demanding(&clients, option);
        let mut site = Trusting::shared().site();
        let Issued { certificate, key } = clients.client("client-of-the-test");
        get_queue(&mut site, "q", &server.url("127.0.0.1"), "");
        use_certificate(&mut site, "q", &certificate, &key);
        let attempt = attempt(&mut site, "q");
        assert_eq!(attempt.result(), (Some(200), None), "{attempt:?}");
        assert!(attempt.response.contains("client-of-the-test"), "{attempt:?}");
    }
}

#[test]
fn server_that_gets_no_certificate_or_a_strange_one_is_a_failure_of_tls() {
    let clients = Authority::new();
    for option in ["-tls1_2", "-tls1_3"] {
        let server = demanding(&clients, option);
        let mut site = Trusting::shared().site();
        get_queue(&mut site, "none", &server.url("127.0.0.1"), "");
        let without = attempt(&mut site, "none");
        assert_eq!(without.result(), (None, Some("tls")), "{without:?}");
        let Issued { certificate, key } = Authority::new().client("stranger");
        get_queue(&mut site, "strange", &server.url("127.0.0.1"), "");
        use_certificate(&mut site, "strange", &certificate, &key);
        let strange = attempt(&mut site, "strange");
        assert_eq!(strange.result(), (None, Some("tls")), "{strange:?}");
    }
}

#[test]
fn queues_to_one_server_keep_their_certificates_apart() {
    let clients = Authority::new();
    let server = demanding(&clients, "-tls1_3");
    let mut site = Trusting::shared().site();
    for name in ["one", "two"] {
        let Issued { certificate, key } = clients.client(&format!("client-{name}"));
        get_queue(&mut site, name, &server.url("127.0.0.1"), "");
        use_certificate(&mut site, name, &certificate, &key);
    }
    get_queue(&mut site, "none", &server.url("127.0.0.1"), "");
    for _ in 0..2 {
        for name in ["one", "two"] {
            let attempt = attempt(&mut site, name);
            assert!(
                attempt.response.contains(&format!("client-{name}")),
                "{attempt:?}"
            );
        }
        let none = attempt(&mut site, "none");
        assert_eq!(none.result(), (None, Some("tls")), "{none:?}");
    }
}

#[test]
fn certificate_without_its_key_or_https_is_refused() {
    let mut site = Site::new();
    site.run("select hooks.create_queue('q', 'https://example.com/')");
    site.queue("plain", "");
    let authority = Authority::new();
    let (one, other) = (authority.client("one"), authority.client("other"));
    let refusal = |site: &mut Site, queue: &str, certificate: &str, key: &str| {
        site.refusal(&format!(
            "select hooks.use_certificate('{queue}', '{certificate}', '{key}')"
        ))
    };
    let mismatch = refusal(&mut site, "q", &one.certificate, &other.key);
    assert_eq!(
        (mismatch.code.as_str(), mismatch.message.as_str()),
        ("22023", "private key does not belong to the certificate")
    );
    let plain = refusal(&mut site, "plain", &one.certificate, &one.key);
    assert_eq!(
        plain.message,
        "client certificate cannot be shown over plain http"
    );
    let revealing = format!("{}{}", one.certificate, one.key);
    let revealing = refusal(&mut site, "q", &revealing, &one.key);
    assert_eq!(revealing.message, "certificate contains a private key");
    assert_eq!(site.value::<i64>("select count(*) from hooks.auth"), 0);
    assert_eq!(site.value::<i64>("select count(*) from hooks.secret"), 0);
}

#[test]
fn queue_that_turns_to_plain_http_sends_nothing_without_its_certificate() {
    let mut site = Site::new();
    let Issued { certificate, key } = Authority::new().client("client");
    site.run("select hooks.create_queue('q', 'https://example.com/', max_attempts => 1)");
    use_certificate(&mut site, "q", &certificate, &key);
    let url = site.receiver.url("/q");
    site.run(&format!("select hooks.alter_queue('q', url => '{url}')"));
    site.run("select hooks.create_queue('other', 'http://127.0.0.1:65535/', max_attempts => 1)");
    site.run("select hooks.send('q', 'x')");
    attempt(&mut site, "other");
    assert_eq!(site.arrived("q"), 0, "its messages wait");
    assert!(!shown(&mut site).contains("PRIVATE KEY"));
}
