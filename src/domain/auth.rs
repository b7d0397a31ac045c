//! How the requests of a queue prove to the receiver who sends them.
//!
//! Credentials come in checked, and nothing here shows them: debug output and errors name headers and
//! ids of clients at most.

mod certificate;
mod credentials;
mod header;
mod row;
mod token;

use std::fmt;
use std::sync::Arc;

pub use certificate::Certificate;
pub use credentials::{ClientAuthentication, ClientCredentials};
pub use header::AuthHeader;
pub use row::{AuthRow, assemble};
pub use token::{Grant, MAX_ANSWER_BYTES, read_answer};

/// What a queue authenticates with; by default, nothing.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    pub header: HeaderAuth,
    /// Shown to every server that asks for one: the receiver, and the token endpoint.
    pub certificate: Option<Arc<Certificate>>,
}

/// What stands in a header of each request. It wins over a header of that name of the queue or message.
#[derive(Clone, Debug, Default)]
pub enum HeaderAuth {
    #[default]
    None,
    /// Bearer, basic, or a key in a header of any name.
    Fixed(AuthHeader),
    /// A bearer token that is asked for at a token endpoint (RFC 6749, section 4.4).
    Token(Arc<ClientCredentials>),
}

impl Auth {
    /// The same with masks in place of what is secret.
    #[must_use]
    pub fn masked(&self) -> Auth {
        let header = match &self.header {
            HeaderAuth::None => HeaderAuth::None,
            HeaderAuth::Fixed(header) => HeaderAuth::Fixed(header.masked()),
            HeaderAuth::Token(_) => HeaderAuth::Fixed(AuthHeader::masked_token()),
        };
        Auth {
            header,
            certificate: self.certificate.clone(),
        }
    }
}

/// Why credentials cannot be used. Holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAuth {
    /// What is wrong, in the style of PostgreSQL's primary messages.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: String,
}

impl fmt::Display for InvalidAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidAuth {}

fn invalid(message: impl Into<String>, hint: impl Into<String>) -> InvalidAuth {
    InvalidAuth {
        message: message.into(),
        hint: hint.into(),
    }
}

/// Whether `text` has 1 to `most` bytes.
fn check_length(what: &str, text: &str, most: usize) -> Result<(), InvalidAuth> {
    if text.is_empty() || text.len() > most {
        return Err(invalid(
            format!("{what} must have 1 to {most} bytes"),
            format!("Give the {what} as the receiver's operator gave it to you."),
        ));
    }
    Ok(())
}

/// Whether `text` has no line breaks and other control characters.
fn check_printable(what: &str, text: &str) -> Result<(), InvalidAuth> {
    if text.chars().any(char::is_control) {
        return Err(invalid(
            format!("{what} contains a line break or a control character"),
            "Remove it; it often comes from reading a file with its last line end.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
