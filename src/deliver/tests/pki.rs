//! Certificate authorities and certificates that last as long as a test, and servers that use them.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use tempfile::NamedTempFile;

use super::receiver::Receiver;
use crate::deliver::{Pool, Settings};
use crate::domain::auth::Certificate;

/// Each version, alone.
pub const VERSIONS: [&[&SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    pub chain: String,
    pub key: String,
}

impl Authority {
    /// One whose name no other has.
    pub fn new() -> Authority {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("pg_hooks test {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// For a server of these names and addresses.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue(names, |_| {})
    }

    /// For a client.
    pub fn client(&self, name: &str) -> Issued {
        self.issue(&[name], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// For a server, valid for a year from the first day of this one.
    pub fn of_year(&self, names: &[&str], year: i32) -> Issued {
        self.issue(names, |params| {
            params.not_before = date_time_ymd(year, 1, 1);
            params.not_after = date_time_ymd(year + 1, 1, 1);
        })
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        Issued {
            chain: params.signed_by(&key, &self.issuer).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    /// A file with its certificate, gone with the value.
    pub fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(self.pem.as_bytes()).expect("written");
        file
    }

    /// For a server that serves its clients.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate");
        roots.add(certificate).expect("an authority");
        roots
    }
}

impl Issued {
    /// By nobody but itself.
    pub fn self_signed(names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        Issued {
            chain: params.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn certificate(&self) -> Certificate {
        Certificate::from_pem(&self.chain, &self.key).expect("a certificate")
    }

    /// The first certificate as it goes over the wire.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.chain.as_bytes())
            .expect("a certificate")
            .to_vec()
    }
}

/// A server that asks for certificates of clients, or not.
pub struct Server {
    pub identity: Issued,
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// Only clients with certificates of this authority are served.
    pub clients_of: Option<RootCertStore>,
}

/// What a server saw of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub number: usize,
    pub server_name: Option<String>,
    pub protocol: Option<Vec<u8>>,
    pub certificate: Option<Vec<u8>>,
}

impl Server {
    pub fn new(identity: Issued) -> Server {
        Server {
            identity,
            versions: rustls::ALL_VERSIONS,
            clients_of: None,
        }
    }

    fn config(&self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = CertificateDer::pem_slice_iter(self.identity.chain.as_bytes());
        let chain = chain
            .map(|certificate| certificate.expect("a certificate"))
            .collect();
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes()).expect("a key");
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .expect("versions");
        let builder = match &self.clients_of {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let roots = Arc::new(roots.clone());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let mut config = builder.with_single_cert(chain, key).expect("a server");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    /// Answers every request with 200 and the number of the connection; gives also what was seen of each
    /// request.
    pub fn start(self) -> (Receiver, Arc<Mutex<Vec<Seen>>>) {
        let config = Arc::new(self.config());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let log = Arc::clone(&seen);
        let receiver = Receiver::new(move |peer| {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = StreamOwned::new(connection, peer.stream.try_clone().expect("a socket"));
            let mut request = [0; 4096];
            while matches!(stream.read(&mut request), Ok(1..)) {
                let connection = &stream.conn;
                let certificates = connection.peer_certificates();
                log.lock().expect("a log").push(Seen {
                    number: peer.number,
                    server_name: connection.server_name().map(str::to_owned),
                    protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
                    certificate: certificates.map(|chain| chain[0].to_vec()),
                });
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", peer.number);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        (receiver, seen)
    }
}

/// A pool that trusts the authority in this file.
pub fn trusting(ca_file: &Path) -> Pool {
    Pool::start(Settings {
        ca_file: Some(ca_file.to_owned()),
        ..super::settings()
    })
    .expect("a pool")
}
