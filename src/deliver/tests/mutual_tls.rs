//! Receivers that want to see a certificate of the client.

use std::sync::{Arc, Mutex};

use tempfile::NamedTempFile;

use super::pki::{Authority, Issued, Seen, Server, VERSIONS, trusting};
use super::receiver::Receiver;
use super::{attempt, attempt_with, queue};
use crate::deliver::Pool;
use crate::domain::auth::{Auth, Certificate, HeaderAuth};
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;

const OK: Outcome = Outcome::Accepted { status: 200 };

/// A server that serves certificates of one authority only, and a pool that trusts the server.
struct Scene {
    clients: Authority,
    receiver: Receiver,
    seen: Arc<Mutex<Vec<Seen>>>,
    pool: Pool,
    _ca_file: NamedTempFile,
}

impl Scene {
    fn new(versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Scene {
        let (authority, clients) = (Authority::new(), Authority::new());
        let ca_file = authority.file();
        let mut server = Server::new(authority.server(&["127.0.0.1"]));
        server.versions = versions;
        server.clients_of = Some(clients.roots());
        let (receiver, seen) = server.start();
        Scene {
            clients,
            receiver,
            seen,
            pool: trusting(ca_file.path()),
            _ca_file: ca_file,
        }
    }

    fn queue(&self, certificate: Option<&Arc<Certificate>>) -> Queue {
        let mut queue = queue(&format!("https://127.0.0.1:{}/", self.receiver.port()));
        queue.auth = Ok(Auth {
            header: HeaderAuth::None,
            certificate: certificate.map(Arc::clone),
        });
        queue
    }

    fn attempt(&self, certificate: Option<&Arc<Certificate>>) -> Outcome {
        attempt_with(&self.pool, self.queue(certificate), Body::Empty).outcome
    }
}

fn certificate(issued: &Issued) -> Arc<Certificate> {
    Arc::new(issued.certificate())
}

#[test]
fn certificate_is_shown_and_its_connection_kept_for_its_holder() {
    for versions in VERSIONS {
        let scene = Scene::new(versions);
        let [first, second] = ["first", "second"].map(|name| scene.clients.client(name));
        let [one, two] = [&first, &second].map(certificate);
        for certificate in [&one, &one, &two, &one, &two] {
            assert_eq!(scene.attempt(Some(certificate)), OK);
        }
        let seen = scene.seen.lock().expect("a log").clone();
        let seen: Vec<_> = seen
            .into_iter()
            .map(|seen| (seen.number, seen.certificate.expect("a certificate")))
            .collect();
        let (first, second) = (first.der(), second.der());
        let expected = [(0, &first), (0, &first), (1, &second), (0, &first), (1, &second)];
        assert_eq!(seen, expected.map(|(number, der)| (number, der.clone())));
    }
}

#[test]
fn connection_and_session_with_a_certificate_serve_nobody_without() {
    for versions in VERSIONS {
        let scene = Scene::new(versions);
        let shown = certificate(&scene.clients.client("client"));
        assert_eq!(scene.attempt(Some(&shown)), OK);
        let outcome = scene.attempt(None);
        assert_eq!(outcome.error_class(), Some("tls"), "{outcome:?}");
        let said = outcome.error_text().unwrap_or_default();
        assert!(said.contains("requires a client certificate"), "{said}");
        assert_eq!(scene.seen.lock().expect("a log").len(), 1);
    }
}

#[test]
fn certificate_of_another_authority_is_rejected() {
    for versions in VERSIONS {
        let scene = Scene::new(versions);
        let stranger = certificate(&Authority::new().client("stranger"));
        let outcome = scene.attempt(Some(&stranger));
        assert_eq!(outcome.error_class(), Some("tls"), "{outcome:?}");
        assert!(scene.seen.lock().expect("a log").is_empty());
    }
}

#[test]
fn certificate_is_never_left_out() {
    let receiver = Receiver::answering(super::auth::OK);
    let mut queue = queue(&receiver.url());
    queue.auth = Ok(Auth {
        header: HeaderAuth::None,
        certificate: Some(certificate(&Authority::new().client("client"))),
    });
    let outcome = attempt(queue).outcome;
    assert_eq!(outcome.error_class(), Some("auth"));
    assert!(receiver.requests().is_empty());
}
