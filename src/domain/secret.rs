//! Secrets of queues: what signs requests and what shows to a receiver who we are.

mod file_name;
mod form;
mod keyring;
mod purpose;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

pub use file_name::check_file_name;
pub use form::{Form, InvalidSecret, make_private, make_symmetric, private_key, symmetric_key};
pub use keyring::{Keyring, NONCE_BYTES};
pub use purpose::Purpose;

use super::outcome::Outcome;
use super::time::Timestamp;

/// Bytes that nobody may see. Copies share them, and with the last one they are wiped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes, for the one place that uses them: never for a message, a log or a record.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text; `None` if they are not UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

/// Says that there is one, and nothing of it, not even its length.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One row of `hooks.secret`, opened.
#[derive(Clone, Debug)]
pub struct Held {
    pub purpose: Purpose,
    /// From then on it counts no more; `None` for the current one.
    pub expires_at: Option<Timestamp>,
    /// The secret, or why it cannot be used, as one line for people that holds nothing of it.
    pub value: Result<Secret, String>,
}

/// The secrets of one queue.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    held: Vec<Held>,
}

impl Secrets {
    /// `held` has the newest first.
    #[must_use]
    pub fn new(held: Vec<Held>) -> Secrets {
        Secrets { held }
    }

    /// The current secret of this purpose.
    ///
    /// # Errors
    /// There is none, or it cannot be used: then nothing may be sent.
    pub fn current(&self, purpose: Purpose) -> Result<&Secret, Unavailable> {
        let held = self.of(purpose).find(|held| held.expires_at.is_none());
        held.ok_or_else(|| Unavailable::missing(purpose))?.open()
    }

    /// Whatever is held for this purpose, the newest first, also what has expired since it was read.
    pub fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |held| held.purpose == purpose)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether one of them cannot be used as things are.
    #[must_use]
    pub fn has_unusable(&self) -> bool {
        self.held.iter().any(|held| held.value.is_err())
    }
}

impl Held {
    /// # Errors
    /// It cannot be used.
    pub fn open(&self) -> Result<&Secret, Unavailable> {
        self.value.as_ref().map_err(|problem| Unavailable {
            detail: format!("secret for {} cannot be used: {problem}", self.purpose.as_str()),
        })
    }

    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// A secret that a request needs is not there. The attempt fails, and nothing is sent without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What is wrong, for people; holds nothing of the secret.
    pub detail: String,
}

impl Unavailable {
    #[must_use]
    pub fn missing(purpose: Purpose) -> Unavailable {
        let purpose = purpose.as_str();
        Unavailable {
            detail: format!(
                "secret for {purpose} is missing; dumps hold none: set it with hooks.set_secret()"
            ),
        }
    }
}

impl From<Unavailable> for Outcome {
    fn from(Unavailable { detail }: Unavailable) -> Outcome {
        Outcome::NoSecret { detail }
    }
}

#[cfg(test)]
mod tests;
