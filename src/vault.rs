//! Opening and closing the secrets that `hooks.secret` holds.

use crate::domain::secret::{Form, InvalidSecret, Purpose, Secret};

/// A secret as stored.
pub struct Stored {
    pub purpose: Purpose,
    pub content: Vec<u8>,
}

/// What opens and closes secrets.
pub struct Vault;

impl Vault {
    /// With the settings of now.
    pub fn new() -> Vault {
        Vault
    }

    /// # Errors
    /// Why the secret cannot be used; holds nothing of it.
    pub fn open(&self, stored: Stored) -> Result<Secret, String> {
        let secret = Secret::new(stored.content);
        let form = Form::of(stored.purpose, secret.expose());
        form.map(|_| secret)
            .map_err(|InvalidSecret { problem, .. }| format!("it {problem}"))
    }
}
