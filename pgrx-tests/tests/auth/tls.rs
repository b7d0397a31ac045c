//! Which servers are trusted, and what is said of those that are not.

use std::net::TcpListener;

use pg_hooks_tests::site::{SOON, Site};
use pg_hooks_tests::{Cluster, wait_until};

use crate::openssl::OpenSsl;
use crate::pki::{Authority, Issued, file};
use crate::scene::{Attempt, Trusting, attempt, get_queue};

/// Each name that a test may use is a machine's own: `localhost` and 127.0.0.1.
#[track_caller]
fn attempt_at(identity: &Issued, host: &str, options: &[&str]) -> Attempt {
    let server = OpenSsl::start(identity, options);
    let mut site = Trusting::shared().site();
    get_queue(&mut site, "q", &server.url(host), "");
    attempt(&mut site, "q")
}

#[track_caller]
fn assert_distrusted(attempt: &Attempt, said: &str) {
    assert_eq!(attempt.result(), (None, Some("tls")), "{attempt:?}");
    assert!(attempt.said().contains(said), "{said}: {attempt:?}");
}

#[test]
fn server_of_a_trusted_authority_is_reached_by_name_and_by_address() {
    let trusting = Trusting::shared();
    for (names, host) in [
        (["localhost", "127.0.0.1"], "localhost"),
        (["localhost", "127.0.0.1"], "127.0.0.1"),
    ] {
        let identity = trusting.issue(|authority| authority.server(&names));
        let attempt = attempt_at(&identity, host, &["-alpn", "h2,http/1.1"]);
        assert_eq!(attempt.result(), (Some(200), None), "{attempt:?}");
    }
}

#[test]
fn versions_from_1_2_on_are_spoken_and_older_ones_are_not() {
    let identity = Trusting::shared().issue(|authority| authority.server(&["127.0.0.1"]));
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let attempt = attempt_at(&identity, "127.0.0.1", &[option]);
        assert_eq!(attempt.result(), (Some(200), None), "{attempt:?}");
        let spoken = format!("Protocol  : {version}");
        assert!(attempt.response.contains(&spoken), "{attempt:?}");
    }
    for option in ["-tls1_1", "-tls1"] {
        let old = [option, "-cipher", "DEFAULT:@SECLEVEL=0"];
        let attempt = attempt_at(&identity, "127.0.0.1", &old);
        assert_distrusted(&attempt, "TLS handshake failed: ");
    }
}

#[test]
fn wildcard_stands_for_one_label_and_no_address() {
    let trusting = Trusting::shared();
    let identity = trusting.issue(|authority| authority.server(&["*.0.0.1", "*.localhost"]));
    assert_distrusted(&attempt_at(&identity, "127.0.0.1", &[]), "not valid for name");
    let identity = trusting.issue(|authority| authority.server(&["*.localhost"]));
    assert_distrusted(&attempt_at(&identity, "localhost", &[]), "not valid for name");
}

#[test]
fn certificates_that_prove_nothing_are_told_apart() {
    let trusting = Trusting::shared();
    let host = ["127.0.0.1"];
    for (identity, said) in [
        (
            trusting.issue(|authority| authority.of_year(&host, 2019)),
            "certificate expired",
        ),
        (
            trusting.issue(|authority| authority.of_year(&host, 2080)),
            "certificate not valid yet",
        ),
        (
            trusting.issue(|authority| authority.server(&["elsewhere.test"])),
            "not valid for name",
        ),
        (Issued::self_signed(&host), "an authority that is not trusted"),
        (Authority::new().server(&host), "an authority that is not trusted"),
        (
            trusting.issue(|authority| authority.client("127.0.0.1")),
            "does not allow extended key usage for server authentication",
        ),
    ] {
        assert_distrusted(&attempt_at(&identity, "127.0.0.1", &[]), said);
    }
}

#[test]
fn hanging_handshake_takes_the_timeout_and_no_other_queue() {
    let mut site = Trusting::shared().site();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}/", silent.local_addr().expect("an address"));
    get_queue(&mut site, "silent", &url, ", timeout => '2 s'");
    site.queue("other", "");
    let id: i64 = site.value("select hooks.send('silent', null::text)");
    site.run("select hooks.send('other', 'x')");
    site.arrival("other");
    let attempt = crate::scene::first_attempt(&mut site, id);
    assert_eq!(attempt.result(), (None, Some("timeout")), "{attempt:?}");
}

#[test]
fn ca_file_that_changes_counts_from_the_next_reload_on() {
    let (first, second) = (Authority::new(), Authority::new());
    let ca_file = first.file();
    let cluster: &'static Cluster = Box::leak(Box::new(
        Cluster::builder()
            .setting("hooks.ca_file", &ca_file.to_string_lossy())
            .start(),
    ));
    let mut site = Site::on(cluster);
    let server = OpenSsl::start(&second.server(&["127.0.0.1"]), &[]);
    get_queue(&mut site, "q", &server.url("127.0.0.1"), "");
    assert_distrusted(&attempt(&mut site, "q"), "an authority that is not trusted");
    std::fs::write(&ca_file, &second.pem).expect("written");
    cluster.reload(&[]);
    wait_until("the new authority to be trusted", SOON, || {
        attempt(&mut site, "q").status == Some(200)
    });
    std::fs::write(&ca_file, "no certificate").expect("written");
    cluster.reload(&[]);
    wait_until("nobody to be trusted", SOON, || {
        let attempt = attempt(&mut site, "q");
        attempt.class.as_deref() == Some("tls") && attempt.said().contains("could not load CA certificates")
    });
    wait_until("the file to be complained of", SOON, || {
        cluster
            .log()
            .lines()
            .any(|line| line.contains("WARNING") && line.contains("trusts no https server, as hooks.ca_file"))
    });
    cluster.stop(pg_hooks_tests::cluster::StopMode::Immediate);
}

#[test]
fn ca_file_that_is_not_there_is_complained_of_and_trusts_nobody() {
    let missing = file("exists", "").with_file_name("missing.pem");
    let cluster: &'static Cluster = Box::leak(Box::new(
        Cluster::builder()
            .setting("hooks.ca_file", &missing.to_string_lossy())
            .start(),
    ));
    let mut site = Site::on(cluster);
    let server = OpenSsl::start(&Issued::self_signed(&["127.0.0.1"]), &[]);
    get_queue(&mut site, "q", &server.url("127.0.0.1"), "");
    assert_distrusted(&attempt(&mut site, "q"), "could not load CA certificates");
    let complained = |line: &str| line.contains("hooks.ca_file") && line.contains("missing.pem");
    assert!(cluster.log().lines().any(complained), "{}", cluster.log());
    // Other queues are none the worse for it.
    site.queue("plain", "");
    site.run("select hooks.send('plain', 'x')");
    site.arrival("plain");
    cluster.stop(pg_hooks_tests::cluster::StopMode::Immediate);
}
