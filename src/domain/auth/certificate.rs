//! A client certificate with its private key.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::{InvalidAuth, invalid};

/// Longest chain and longest key, in bytes of PEM.
const MAX_PEM_BYTES: usize = 64 * 1024;
/// Most certificates in a chain.
const MAX_CERTIFICATES: usize = 10;

/// What a TLS server that asks for it gets to see, and the key that proves that it is ours.
pub struct Certificate {
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// From a chain in PEM, the client's own certificate first, and its key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// Either is not PEM, the key is encrypted or of an unknown kind, or it is not the one of the first
    /// certificate.
    pub fn from_pem(chain: &str, private_key: &str) -> Result<Certificate, InvalidAuth> {
        let chain = certificates(chain)?;
        let key = key(private_key)?;
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => invalid(
                "private key does not belong to the certificate",
                "Give the client's own certificate first, then those of its issuers, and the key of the first.",
            ),
            Error::InvalidCertificate(_) => invalid("certificate is not an X.509 certificate", GIVE_CHAIN),
            _ => invalid(
                "private key is of a kind that is not supported",
                "Use an RSA key of 2048 to 8192 bits, ECDSA with P-256 or P-384, or Ed25519.",
            ),
        })?;
        Ok(Certificate { key: Arc::new(key) })
    }

    /// As the TLS library takes it.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate(chain of {})", self.key.cert.len())
    }
}

const GIVE_CHAIN: &str =
    "Give the chain in PEM, as it stands between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----.";

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, InvalidAuth> {
    check_size("certificate", pem)?;
    // It would stand where everybody can read it who may see the queue.
    if pem.contains("PRIVATE KEY-----") {
        return Err(invalid(
            "certificate contains a private key",
            "Give the certificates alone here, and the key as private_key.",
        ));
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match chain {
        Ok(chain) if chain.len() > MAX_CERTIFICATES => Err(invalid(
            format!("certificate chain is longer than {MAX_CERTIFICATES}"),
            "Give the client's own certificate and those of its issuers only.",
        )),
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(invalid("certificate is not PEM", GIVE_CHAIN)),
    }
}

fn key(pem: &str) -> Result<PrivateKeyDer<'static>, InvalidAuth> {
    check_size("private key", pem)?;
    if pem.contains("ENCRYPTED") {
        return Err(invalid(
            "private key is encrypted",
            "Give it without a passphrase, as openssl pkey writes it.",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        invalid(
            "private key is not PEM",
            "Give it as it stands between -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----.",
        )
    })
}

fn check_size(what: &str, pem: &str) -> Result<(), InvalidAuth> {
    if pem.len() > MAX_PEM_BYTES {
        return Err(invalid(
            format!("{what} is longer than {MAX_PEM_BYTES} bytes"),
            "Give what this client needs only.",
        ));
    }
    Ok(())
}
