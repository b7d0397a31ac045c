//! Keys that are ready to sign.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::signature::Ed25519KeyPair;

use super::Scheme;
use crate::domain::secret::{InvalidSecret, Secret, Unavailable, private_key, symmetric_key};

/// The debug output of both names the algorithm and at most the public key.
#[derive(Clone, Debug)]
pub enum Key {
    Hmac(hmac::Key),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl Key {
    /// The key that the scheme makes of this secret.
    ///
    /// # Errors
    /// The secret is not of the form that the scheme needs.
    pub fn new(scheme: Scheme, secret: &Secret) -> Result<Key, Unavailable> {
        let text = secret.expose_text().unwrap_or_default();
        let key = match scheme {
            Scheme::V1 => symmetric_key(text).map(|key| Key::Hmac(hmac_key(&key))),
            Scheme::V1a => private_key(text).map(|pair| Key::Ed25519(Arc::new(pair))),
            // Whatever the secret looks like, also with whsec_ before it: so these receivers take it.
            Scheme::Github | Scheme::Postmand | Scheme::Stripe => Ok(Key::Hmac(hmac_key(secret.expose()))),
        };
        key.map_err(|InvalidSecret { problem, .. }| Unavailable {
            detail: format!("secret for {} {problem}", scheme.purpose().as_str()),
        })
    }

    /// The signature of these bytes, one part after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Key::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                for part in parts {
                    context.update(part);
                }
                context.sign().as_ref().to_vec()
            }
            Key::Ed25519(pair) => pair.sign(&parts.concat()).as_ref().to_vec(),
        }
    }

    /// The signature as it stands in `webhook-signature`.
    pub fn standard(&self, parts: &[&[u8]]) -> String {
        let version = match self {
            Key::Hmac(_) => "v1",
            Key::Ed25519(_) => "v1a",
        };
        format!("{version},{}", BASE64_STANDARD.encode(self.sign(parts)))
    }
}

fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

/// In lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
