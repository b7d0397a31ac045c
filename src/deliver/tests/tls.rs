//! https against receivers with certificates of our own.

use std::path::PathBuf;

use super::pki::{Authority, Issued, Seen, Server, VERSIONS, trusting};
use super::receiver::Receiver;
use super::{attempt_with, queue, settings};
use crate::deliver::{Pool, Settings};
use crate::domain::message::Body;
use crate::domain::outcome::{Outcome, Unreachable};

const OK: Outcome = Outcome::Accepted { status: 200 };

fn attempt(pool: &Pool, host: &str, receiver: &Receiver) -> Outcome {
    let url = format!("https://{host}:{}/", receiver.port());
    attempt_with(pool, queue(&url), Body::Empty).outcome
}

/// What comes of a message to `host`, where a server of this identity is that `authority` issued.
fn judged(authority: &Authority, identity: Issued, host: &str) -> Outcome {
    let (receiver, seen) = Server::new(identity).start();
    let outcome = attempt(&trusting(authority.file().path()), host, &receiver);
    let requests = seen.lock().expect("a log").len();
    assert_eq!(
        requests,
        usize::from(outcome == OK),
        "a request came without trust"
    );
    outcome
}

fn unreachable(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Unreachable {
            cause: Unreachable::Tls,
            detail,
        } => detail,
        other => panic!("not a failure of TLS: {other:?}"),
    }
}

#[test]
fn trusted_certificate_delivers_and_the_connection_is_kept() {
    let authority = Authority::new();
    let (receiver, _) = Server::new(authority.server(&["127.0.0.1"])).start();
    let file = authority.file();
    let pool = trusting(file.path());
    for round in 0..5 {
        let url = format!("https://127.0.0.1:{}/", receiver.port());
        let attempt = attempt_with(&pool, queue(&url), Body::Text(b"{}".to_vec()));
        assert_eq!(attempt.outcome, OK);
        assert_eq!(attempt.trace.tls.is_some(), round == 0, "one handshake");
        assert_eq!(attempt.response.body, b"0");
    }
}

#[test]
fn name_and_address_and_each_version_are_accepted() {
    let authority = Authority::new();
    let file = authority.file();
    for versions in VERSIONS {
        let mut server = Server::new(authority.server(&["localhost", "127.0.0.1"]));
        server.versions = versions;
        let (receiver, seen) = server.start();
        let pool = trusting(file.path());
        assert_eq!(attempt(&pool, "localhost", &receiver), OK);
        assert_eq!(attempt(&pool, "127.0.0.1", &receiver), OK);
        let seen = seen.lock().expect("a log").clone();
        let http = Some(b"http/1.1".to_vec());
        // A server name is a name: addresses are never told (RFC 6066, section 3).
        let expected = [(0, Some("localhost")), (1, None)].map(|(number, name)| Seen {
            number,
            server_name: name.map(str::to_owned),
            protocol: http.clone(),
            certificate: None,
        });
        assert_eq!(seen, expected);
    }
}

#[test]
fn certificates_that_prove_nothing_are_told_apart() {
    let authority = Authority::new();
    for (identity, said) in [
        (authority.of_year(&["127.0.0.1"], 2019), "certificate expired"),
        (
            authority.of_year(&["127.0.0.1"], 2080),
            "certificate not valid yet",
        ),
        (authority.server(&["elsewhere.test"]), "not valid for name"),
        (authority.server(&["127.0.0.2"]), "not valid for name"),
        (
            Issued::self_signed(&["127.0.0.1"]),
            "an authority that is not trusted",
        ),
        (
            Authority::new().server(&["127.0.0.1"]),
            "an authority that is not trusted",
        ),
        (
            authority.client("127.0.0.1"),
            "does not allow extended key usage for server authentication",
        ),
    ] {
        let outcome = judged(&authority, identity, "127.0.0.1");
        let detail = unreachable(&outcome);
        assert!(
            detail.starts_with("TLS handshake failed: ") && detail.contains(said),
            "{said}: {detail}"
        );
    }
}

#[test]
fn name_is_checked_even_if_the_address_is_right() {
    let authority = Authority::new();
    let outcome = judged(&authority, authority.server(&["127.0.0.1"]), "localhost");
    assert!(
        unreachable(&outcome).contains("not valid for name"),
        "{outcome:?}"
    );
}

#[test]
fn authority_of_no_trust_is_not_trusted() {
    let (receiver, _) = Server::new(Authority::new().server(&["127.0.0.1"])).start();
    let outcome = attempt(&Pool::start(settings()).expect("a pool"), "127.0.0.1", &receiver);
    let detail = unreachable(&outcome);
    // On a machine without any certificates there is nobody to trust at all.
    assert!(detail.contains("certificate"), "{detail}");
}

#[test]
fn server_that_does_not_speak_tls_is_a_failure_of_tls() {
    let receiver = Receiver::new(|peer| {
        peer.reset();
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let authority = Authority::new();
    let outcome = attempt(&trusting(authority.file().path()), "127.0.0.1", &receiver);
    unreachable(&outcome);
}

#[test]
fn hanging_handshake_is_a_timeout() {
    let receiver = Receiver::new(super::receiver::Peer::hang);
    let authority = Authority::new();
    let file = authority.file();
    let mut queue = queue(&format!("https://127.0.0.1:{}/", receiver.port()));
    queue.timeout = std::time::Duration::from_secs(1);
    let outcome = attempt_with(&trusting(file.path()), queue, Body::Empty).outcome;
    assert_eq!(outcome.error_class(), Some("timeout"));
}

#[test]
fn missing_ca_file_fails_until_it_is_there() {
    let authority = Authority::new();
    let (receiver, _) = Server::new(authority.server(&["127.0.0.1"])).start();
    let pool = trusting(&PathBuf::from("/nonexistent/authority.pem"));
    let before = attempt(&pool, "127.0.0.1", &receiver);
    assert!(unreachable(&before).starts_with("could not load CA certificates: "));
    let file = authority.file();
    pool.reconfigure(Settings {
        ca_file: Some(file.path().to_owned()),
        ..settings()
    });
    assert_eq!(attempt(&pool, "127.0.0.1", &receiver), OK);
}

#[test]
fn ca_file_is_read_anew_when_the_settings_are() {
    let (first, second) = (Authority::new(), Authority::new());
    let (receiver, _) = Server::new(second.server(&["127.0.0.1"])).start();
    let file = first.file();
    let with_file = || Settings {
        ca_file: Some(file.path().to_owned()),
        ..settings()
    };
    let pool = Pool::start(with_file()).expect("a pool");
    let before = attempt(&pool, "127.0.0.1", &receiver);
    assert!(
        unreachable(&before).contains("an authority that is not trusted"),
        "{before:?}"
    );
    std::fs::copy(second.file().path(), file.path()).expect("replaced");
    let unread = attempt(&pool, "127.0.0.1", &receiver);
    assert!(
        unreachable(&unread).contains("an authority that is not trusted"),
        "{unread:?}"
    );
    pool.reconfigure(with_file());
    assert_eq!(attempt(&pool, "127.0.0.1", &receiver), OK);
}

#[test]
fn useless_ca_file_is_told_and_trusts_nobody() {
    let authority = Authority::new();
    let (receiver, _) = Server::new(authority.server(&["127.0.0.1"])).start();
    let file = authority.file();
    assert_eq!(trusting(file.path()).distrust(), None);
    for content in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(file.path(), content).expect("written");
        let pool = trusting(file.path());
        let told = pool.distrust().expect("a complaint");
        assert!(told.contains("hooks.ca_file") && told.contains("could not load CA certificates"));
        let outcome = attempt(&pool, "127.0.0.1", &receiver);
        assert!(unreachable(&outcome).starts_with("could not load CA certificates: "));
    }
}

/// The alert as a fatal one (RFC 8446, section 6), without a word before.
#[test]
fn alert_of_the_receiver_says_why_in_words() {
    let authority = Authority::new();
    let file = authority.file();
    for (alert, said) in [
        (40, "receiver rejects the TLS handshake"),
        (42, "receiver does not accept the client certificate"),
        (44, "receiver calls the client certificate revoked"),
        (45, "receiver calls the client certificate expired"),
        (48, "receiver does not know who issued the client certificate"),
        (49, "receiver denies access to the client certificate"),
        (51, "receiver rejects the TLS handshake"),
        (80, "received fatal alert: "),
        (116, "receiver requires a client certificate"),
    ] {
        let receiver = Receiver::new(move |peer| {
            peer.reset();
            peer.send(&[21, 3, 3, 0, 2, 2, alert]);
            peer.hang();
        });
        let outcome = attempt(&trusting(file.path()), "127.0.0.1", &receiver);
        let detail = unreachable(&outcome);
        assert!(
            detail
                .strip_prefix("TLS handshake failed: ")
                .is_some_and(|why| why.starts_with(said)),
            "{alert}: {detail}"
        );
    }
}

#[test]
fn handshake_that_is_closed_says_so() {
    let receiver = Receiver::new(super::receiver::Peer::miss);
    let authority = Authority::new();
    let outcome = attempt(&trusting(authority.file().path()), "127.0.0.1", &receiver);
    assert_eq!(unreachable(&outcome), "TLS handshake failed: connection closed");
}
