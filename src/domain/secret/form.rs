//! What a secret must look like, by its purpose: asked when it is set and again when it is used.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::Purpose;

/// Prefix of the secret of an HMAC. Standard Webhooks, "Signature schemes".
pub const SYMMETRIC_PREFIX: &str = "whsec_";
/// Prefix of an ed25519 private key.
pub const PRIVATE_PREFIX: &str = "whsk_";
/// Prefix of an ed25519 public key.
pub const PUBLIC_PREFIX: &str = "whpk_";

/// Bytes behind `whsec_`. Standard Webhooks: "between 24 bytes (192 bits) and 64 bytes (512 bits)".
const SYMMETRIC_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a secret for HMAC that is given as it is.
const PLAIN_BYTES: std::ops::RangeInclusive<usize> = 16..=1024;
/// Bytes of what goes into a header.
const MAX_HEADER_BYTES: usize = 4096;
/// Bytes of a file in PEM.
const MAX_PEM_BYTES: usize = 64 << 10;

/// What a secret is, as far as everybody may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `whsec_` and base64: the bytes behind it are the key.
    Symmetric,
    /// `whsk_` and base64, with the `whpk_` that receivers verify with.
    Private { public_key: String },
    /// The bytes as they are.
    Plain,
}

impl Form {
    /// The word in `hooks.secret.form`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Form::Symmetric => "whsec",
            Form::Private { .. } => "whsk",
            Form::Plain => "plain",
        }
    }

    /// Checks a secret that is to be stored for `purpose`.
    ///
    /// # Errors
    /// See [`InvalidSecret`].
    pub fn of(purpose: Purpose, secret: &[u8]) -> Result<Form, InvalidSecret> {
        let Ok(text) = std::str::from_utf8(secret) else {
            return Err(invalid("is not text in UTF-8", "Encode binary data in base64."));
        };
        if text.is_empty() {
            return Err(invalid("is empty", "Use hooks.remove_secret() to have none."));
        }
        match purpose {
            Purpose::Signing => signing(text),
            Purpose::SigningEd25519 => {
                let key = private_key(text)?;
                let public_key = public_key(&key);
                Ok(Form::Private { public_key })
            }
            Purpose::Bearer | Purpose::ApiKey => {
                line(text, MAX_HEADER_BYTES)?;
                if text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
                    return Ok(Form::Plain);
                }
                Err(invalid(
                    "contains a space or a non-ASCII character",
                    "Give the token as it goes into the header, without \"Bearer\".",
                ))
            }
            Purpose::Basic | Purpose::OauthClientSecret => line(text, MAX_HEADER_BYTES),
            Purpose::MtlsKey => pem(text),
        }
    }
}

/// Why a secret is refused. Holds nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSecret {
    /// What is wrong, after "secret ".
    pub problem: String,
    /// What to do about it, as a sentence.
    pub hint: &'static str,
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {}", self.problem)
    }
}

impl std::error::Error for InvalidSecret {}

fn invalid(problem: impl Into<String>, hint: &'static str) -> InvalidSecret {
    InvalidSecret {
        problem: problem.into(),
        hint,
    }
}

const GENERATE: &str = "Let hooks.generate_secret() make one.";

fn signing(text: &str) -> Result<Form, InvalidSecret> {
    if text.starts_with(SYMMETRIC_PREFIX) {
        return symmetric_key(text).map(|_| Form::Symmetric);
    }
    if text.starts_with(PRIVATE_PREFIX) || text.starts_with(PUBLIC_PREFIX) {
        return Err(invalid(
            "is a key of ed25519",
            "Set a private key for the purpose signing_ed25519; a public key is never set.",
        ));
    }
    line(text, *PLAIN_BYTES.end())?;
    if text.len() < *PLAIN_BYTES.start() {
        return Err(invalid(
            format!("is shorter than {} bytes", PLAIN_BYTES.start()),
            GENERATE,
        ));
    }
    Ok(Form::Plain)
}

/// The key behind `whsec_`.
///
/// # Errors
/// It is not one.
pub fn symmetric_key(text: &str) -> Result<Zeroizing<Vec<u8>>, InvalidSecret> {
    let key = decode(text, SYMMETRIC_PREFIX)?;
    if !SYMMETRIC_BYTES.contains(&key.len()) {
        return Err(invalid(
            format!(
                "has {} bytes behind {SYMMETRIC_PREFIX}, not {} to {}",
                key.len(),
                SYMMETRIC_BYTES.start(),
                SYMMETRIC_BYTES.end()
            ),
            GENERATE,
        ));
    }
    Ok(key)
}

/// The key pair behind `whsk_`: a seed of 32 bytes, alone or followed by the public key.
///
/// # Errors
/// It is not one, or the public key is another one's.
pub fn private_key(text: &str) -> Result<Ed25519KeyPair, InvalidSecret> {
    const SEED_BYTES: usize = 32;
    let key = decode(text, PRIVATE_PREFIX)?;
    let pair = match key.split_at_checked(SEED_BYTES) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
        Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
        None => return Err(not_a_pair()),
    };
    pair.map_err(|_| not_a_pair())
}

fn not_a_pair() -> InvalidSecret {
    invalid(
        "is not an ed25519 key of 32 bytes, or 64 with its public key",
        "Let hooks.generate_secret('v1a') make one.",
    )
}

/// What receivers verify with.
#[must_use]
pub fn public_key(pair: &Ed25519KeyPair) -> String {
    format!("{PUBLIC_PREFIX}{}", BASE64_STANDARD.encode(pair.public_key()))
}

/// Standard alphabet, padded, without anything else.
fn decode(text: &str, prefix: &str) -> Result<Zeroizing<Vec<u8>>, InvalidSecret> {
    let Some(encoded) = text.strip_prefix(prefix) else {
        return Err(invalid(format!("does not begin with {prefix}"), GENERATE));
    };
    let decoded = BASE64_STANDARD.decode(encoded).map(Zeroizing::new);
    // The error of the decoder tells a byte of the secret.
    decoded.map_err(|_| {
        invalid(
            format!("has no valid base64 behind {prefix}"),
            "Give it as it was made: the standard alphabet with padding, and no blanks or line ends.",
        )
    })
}

/// One line without blanks around it.
fn line(text: &str, max_bytes: usize) -> Result<Form, InvalidSecret> {
    if text.len() > max_bytes {
        return Err(invalid(
            format!("is longer than {max_bytes} bytes"),
            "Shorten it.",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(
            "contains a line end or another control character",
            "Remove it; a file may end with one line end.",
        ));
    }
    if text.trim() != text {
        return Err(invalid("begins or ends with a blank", "Remove the blank."));
    }
    Ok(Form::Plain)
}

fn pem(text: &str) -> Result<Form, InvalidSecret> {
    if text.len() > MAX_PEM_BYTES {
        return Err(invalid(
            format!("is longer than {MAX_PEM_BYTES} bytes"),
            "Give the key alone.",
        ));
    }
    let is_pem = text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----");
    if !is_pem || text.contains('\0') {
        return Err(invalid(
            "is not a private key in PEM",
            "Give what stands from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----.",
        ));
    }
    Ok(Form::Plain)
}

/// A new secret for HMAC, of 32 random bytes.
#[must_use]
pub fn make_symmetric(random: &[u8; 32]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(random));
    Zeroizing::new(format!("{SYMMETRIC_PREFIX}{}", *encoded))
}

/// A new private key, of 32 random bytes.
///
/// # Errors
/// The bytes are refused, which does not happen.
pub fn make_private(random: &[u8; 32]) -> Result<Zeroizing<String>, InvalidSecret> {
    let pair = Ed25519KeyPair::from_seed_unchecked(random).map_err(|_| not_a_pair())?;
    let both = Zeroizing::new([&random[..], pair.public_key().as_ref()].concat());
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(&*both));
    Ok(Zeroizing::new(format!("{PRIVATE_PREFIX}{}", *encoded)))
}
