//! TLS: whom to trust, what to show, and the handshake.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned,
};
use rustls_native_certs::CertificateResult;
use ureq::Error;

use super::failure::{Failure, io_detail};
use super::limit::Limit;
use super::socket::Socket;
use crate::domain::auth::Certificate;
use crate::domain::outcome::Unreachable;
use crate::fault;

/// A socket after the handshake.
pub type TlsStream = StreamOwned<ClientConnection, Socket>;

/// The only protocol that is spoken over TLS (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// Servers of which a client certificate remembers its last session; it is usually for one.
const SESSIONS: usize = 4;

/// TLS 1.2 and 1.3 with verification always on.
///
/// ureq's own connector reads every certificate anew for each connection as soon as a request has a
/// timeout of its own; here it is done once, on the first use of https.
pub struct Tls {
    ca_file: Option<PathBuf>,
    made: Mutex<Made>,
}

/// What was made on first use. A failure is not kept: the file may be mended by then.
#[derive(Default)]
struct Made {
    roots: Option<Arc<RootCertStore>>,
    without_certificate: Option<Arc<ClientConfig>>,
    /// One for each certificate: a session that is resumed is one of its holder, so they remember their own.
    with_certificate: Vec<(Weak<Certificate>, Arc<ClientConfig>)>,
}

impl Tls {
    /// Trusts the certificate authorities in `ca_file`, or those of the operating system without it.
    pub fn new(ca_file: Option<PathBuf>) -> Tls {
        Tls {
            ca_file,
            made: Mutex::default(),
        }
    }

    /// Why no server can be trusted, if that is so.
    pub fn problem(&self) -> Option<String> {
        self.made().roots(self.ca_file.as_deref()).err()
    }

    /// Speaks TLS over `socket` to the server called `host`, a name or an address without brackets.
    ///
    /// # Errors
    /// [`Unreachable::Tls`], or a time-out.
    pub fn handshake(
        &self,
        mut socket: Socket,
        host: &str,
        certificate: Option<&Arc<Certificate>>,
        limit: &Limit,
    ) -> Result<TlsStream, Error> {
        let name = ServerName::try_from(host)
            .map_err(|_| failed("host name cannot be verified"))?
            .to_owned();
        let config = self.made().config(self.ca_file.as_deref(), certificate);
        let config = config.map_err(failed)?;
        let mut connection =
            ClientConnection::new(config, name).map_err(|error| failed(error.to_string()))?;
        socket.set_deadline(limit.deadline());
        while connection.is_handshaking() {
            fault::io("tls: handshake")
                .and_then(|()| connection.complete_io(&mut socket))
                .map_err(|error| last_word(&mut connection, &mut socket, &error).unwrap_or(error))
                .map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => limit.ran_out(Unreachable::Tls, "TLS handshake"),
                    io::ErrorKind::UnexpectedEof => failed("TLS handshake failed: connection closed"),
                    _ => failed(format!("TLS handshake failed: {}", detail(&error))),
                })?;
        }
        Ok(StreamOwned::new(connection, socket))
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn roots(&mut self, ca_file: Option<&Path>) -> Result<Arc<RootCertStore>, String> {
        if let Some(roots) = &self.roots {
            return Ok(Arc::clone(roots));
        }
        let roots = Arc::new(roots(ca_file)?);
        Ok(Arc::clone(self.roots.insert(roots)))
    }

    fn config(
        &mut self,
        ca_file: Option<&Path>,
        certificate: Option<&Arc<Certificate>>,
    ) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.known(certificate) {
            return Ok(config);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots(ca_file)?);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let shown = SingleCertAndKey::from(certificate.certified_key());
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        if certificate.is_some() {
            config.resumption = Resumption::in_memory_sessions(SESSIONS);
        }
        let config = Arc::new(config);
        match certificate {
            None => self.without_certificate = Some(Arc::clone(&config)),
            Some(certificate) => {
                self.with_certificate.retain(|(of, _)| of.strong_count() > 0);
                let of = Arc::downgrade(certificate);
                self.with_certificate.push((of, Arc::clone(&config)));
            }
        }
        Ok(config)
    }

    fn known(&self, certificate: Option<&Arc<Certificate>>) -> Option<Arc<ClientConfig>> {
        let Some(certificate) = certificate else {
            return self.without_certificate.clone();
        };
        let of_it = |of: &Weak<Certificate>| std::ptr::eq(of.as_ptr(), Arc::as_ptr(certificate));
        let found = self.with_certificate.iter().find(|(of, _)| of_it(of));
        found.map(|(_, config)| Arc::clone(config))
    }
}

/// The certificate authorities to trust. Some that cannot be read are passed over, all are an error.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    fault::io("file: authorities").map_err(|error| format!("could not load CA certificates: {error}"))?;
    let CertificateResult { certs, errors, .. } = match ca_file {
        Some(file) => rustls_native_certs::load_certs_from_paths(Some(file), None),
        None => rustls_native_certs::load_native_certs(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certs);
    match (roots.is_empty(), errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(error)) => Err(format!("could not load CA certificates: {error}")),
        (true, None) => Err("could not load CA certificates: there are none".to_owned()),
    }
}

/// Reads from a connection whose server may take nothing more; what it said before can still be there.
///
/// The library writes what it has to write before it reads, and does not read when that fails.
pub fn read(stream: &mut TlsStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer) {
        Err(error) if is_broken(&error) => {}
        read => return read,
    }
    loop {
        match stream.conn.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        stream.conn.read_tls(&mut stream.sock)?;
        let state = stream.conn.process_new_packets();
        state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
}

/// Why the server ended the handshake, if it said so.
fn last_word(connection: &mut ClientConnection, socket: &mut Socket, error: &io::Error) -> Option<io::Error> {
    while is_broken(error) && connection.read_tls(socket).ok()? > 0 {
        if let Err(error) = connection.process_new_packets() {
            return Some(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    None
}

/// Whether the other side takes nothing more.
fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// One line about an error of the handshake.
fn detail(error: &io::Error) -> String {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "certificate of an authority that is not trusted".to_owned()
        }
        Some(rustls::Error::AlertReceived(_)) => rejection(error).unwrap_or_else(|| io_detail(error)),
        _ => io_detail(error),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What the server said against us, if that is why the connection ended. In TLS 1.3 it judges the client's
/// certificate when we take the handshake for done, and has read no request by then.
pub fn rejection(error: &io::Error) -> Option<String> {
    let Some(rustls::Error::AlertReceived(alert)) = tls_error(error) else {
        return None;
    };
    use AlertDescription as Alert;
    let said = match alert {
        Alert::CertificateRequired => "receiver requires a client certificate",
        Alert::UnknownCA => "receiver does not know who issued the client certificate",
        Alert::CertificateExpired => "receiver calls the client certificate expired",
        Alert::CertificateRevoked => "receiver calls the client certificate revoked",
        Alert::BadCertificate | Alert::UnsupportedCertificate | Alert::CertificateUnknown => {
            "receiver does not accept the client certificate"
        }
        Alert::AccessDenied => "receiver denies access to the client certificate",
        Alert::HandshakeFailure | Alert::DecryptError => "receiver rejects the TLS handshake",
        _ => return None,
    };
    Some(said.to_owned())
}

fn failed(detail: impl Into<String>) -> Error {
    Failure::Unreachable {
        cause: Unreachable::Tls,
        detail: detail.into(),
    }
    .into()
}
