//! https against a receiver with a certificate of our own.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::receiver::Receiver;
use super::{attempt_with, queue, settings};
use crate::deliver::{Pool, Settings};
use crate::domain::message::Body;
use crate::domain::outcome::{Outcome, Unreachable};

const RECEIVER: &[u8] = include_bytes!("certificates/receiver.pem");
const KEY: &[u8] = include_bytes!("certificates/receiver.key");

fn authority() -> PathBuf {
    PathBuf::from(file!())
        .with_file_name("certificates")
        .join("authority.pem")
}

/// Answers every request on a TLS connection with 200.
fn receiver() -> Receiver {
    let chain = vec![CertificateDer::from_pem_slice(RECEIVER).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a server");
    let config = Arc::new(config);
    Receiver::new(move |peer| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
        let mut stream = StreamOwned::new(connection, peer.stream.try_clone().expect("a socket"));
        let mut request = [0; 4096];
        while matches!(stream.read(&mut request), Ok(1..)) {
            let _ = stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", peer.number).as_bytes());
        }
    })
}

fn pool(ca_file: PathBuf) -> Pool {
    Pool::start(Settings {
        ca_file: Some(ca_file),
        ..settings()
    })
    .expect("a pool")
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
    let receiver = receiver();
    let pool = pool(authority());
    for _ in 0..5 {
        let url = format!("https://127.0.0.1:{}/", receiver.port());
        let attempt = attempt_with(&pool, queue(&url), Body::Text(b"{}".to_vec()));
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
        assert_eq!(attempt.response.body, b"0");
    }
}

#[test]
fn unknown_authority_is_not_trusted() {
    let receiver = receiver();
    let pool = Pool::start(settings()).expect("a pool");
    let attempt = attempt_with(
        &pool,
        queue(&format!("https://127.0.0.1:{}/", receiver.port())),
        Body::Empty,
    );
    let detail = unreachable(&attempt.outcome);
    // On a machine without any certificates there is nobody to trust at all.
    assert!(detail.contains("certificate"), "{detail}");
}

#[test]
fn certificate_for_another_host_is_not_trusted() {
    let receiver = receiver();
    let url = format!("https://localhost:{}/", receiver.port());
    let attempt = attempt_with(&pool(authority()), queue(&url), Body::Empty);
    let detail = unreachable(&attempt.outcome);
    assert!(detail.contains("not valid for name"), "{detail}");
}

#[test]
fn missing_ca_file_fails_until_it_is_there() {
    let receiver = receiver();
    let url = format!("https://127.0.0.1:{}/", receiver.port());
    let pool = pool(PathBuf::from("/nonexistent/authority.pem"));
    let before = attempt_with(&pool, queue(&url), Body::Empty);
    assert!(unreachable(&before.outcome).starts_with("could not load CA certificates: "));
    pool.reconfigure(Settings {
        ca_file: Some(authority()),
        ..settings()
    });
    let after = attempt_with(&pool, queue(&url), Body::Empty);
    assert_eq!(after.outcome, Outcome::Accepted { status: 200 });
}
