//! TLS: whom to trust, and the handshake.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_native_certs::CertificateResult;
use ureq::Error;

use super::failure::{Failure, io_detail};
use super::limit::Limit;
use super::socket::Socket;
use crate::domain::outcome::Unreachable;

/// A socket after the handshake.
pub type TlsStream = StreamOwned<ClientConnection, Socket>;

/// TLS 1.2 and 1.3 with verification always on.
///
/// ureq's own connector reads every certificate anew for each connection as soon as a request has a
/// timeout of its own; here it is done once, on the first use of https.
pub struct Tls {
    ca_file: Option<PathBuf>,
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl Tls {
    /// Trusts the certificate authorities in `ca_file`, or those of the operating system without it.
    pub fn new(ca_file: Option<PathBuf>) -> Tls {
        Tls {
            ca_file,
            config: Mutex::new(None),
        }
    }

    /// Speaks TLS over `socket` to the server called `host`, a name or an address without brackets.
    ///
    /// # Errors
    /// [`Unreachable::Tls`], or a time-out.
    pub fn handshake(&self, mut socket: Socket, host: &str, limit: &Limit) -> Result<TlsStream, Error> {
        let name = ServerName::try_from(host)
            .map_err(|_| failed("host name cannot be verified"))?
            .to_owned();
        let config = self.config().map_err(failed)?;
        let mut connection =
            ClientConnection::new(config, name).map_err(|error| failed(error.to_string()))?;
        socket.set_deadline(limit.deadline());
        while connection.is_handshaking() {
            connection
                .complete_io(&mut socket)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => limit.ran_out(Unreachable::Tls, "TLS handshake"),
                    io::ErrorKind::UnexpectedEof => failed("TLS handshake failed: connection closed"),
                    _ => failed(format!("TLS handshake failed: {}", io_detail(&error))),
                })?;
        }
        Ok(StreamOwned::new(connection, socket))
    }

    /// The configuration, made on first use. A failure is not kept: the file may be mended by then.
    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*config {
            return Ok(Arc::clone(config));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let made = builder
            .with_root_certificates(roots(self.ca_file.as_deref())?)
            .with_no_client_auth();
        Ok(Arc::clone(config.insert(Arc::new(made))))
    }
}

/// The certificate authorities to trust. Some that cannot be read are passed over, all are an error.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
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

fn failed(detail: impl Into<String>) -> Error {
    Failure::Unreachable {
        cause: Unreachable::Tls,
        detail: detail.into(),
    }
    .into()
}
