//! A header whose value is a credential.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::{InvalidAuth, check_length, check_printable, invalid};
use crate::domain::exposure::{Echo, MASK};
use crate::domain::headers;

/// Longest token, key, or user name and password, in bytes.
const MAX_CREDENTIAL_BYTES: usize = headers::MAX_VALUE_BYTES;

/// A shorter password may be a word that stands in an answer by chance.
const SECRET_PASSWORD_BYTES: usize = 8;

/// Headers that say what a body is, or carry a signature; a key in their place would break each request.
const MEANINGFUL: [&str; 9] = [
    "content-type",
    "content-encoding",
    "user-agent",
    "accept",
    "accept-encoding",
    "date",
    "stripe-signature",
    "x-hub-signature",
    "x-hub-signature-256",
];

/// Name and value of a header that authenticates a request. The value goes nowhere but into the request.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthHeader {
    name: HeaderName,
    value: HeaderValue,
}

impl AuthHeader {
    /// `Authorization: Bearer` (RFC 6750, section 2.1). More characters are let through than its grammar
    /// has, as tokens in use have them: visible ASCII, and so no blanks.
    ///
    /// # Errors
    /// Another character in the token, or a length that no token has.
    pub fn bearer(token: &str) -> Result<AuthHeader, InvalidAuth> {
        check_length("token", token, MAX_CREDENTIAL_BYTES)?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid(
                "token contains a blank, a control character or a non-ASCII character",
                "Give the token alone, without the word Bearer and without a line end.",
            ));
        }
        AuthHeader::new(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// `Authorization: Basic`, in UTF-8 (RFC 7617, section 2).
    ///
    /// # Errors
    /// A colon in the user name, or a control character.
    pub fn basic(username: &str, password: &str) -> Result<AuthHeader, InvalidAuth> {
        check_length("user name", username, MAX_CREDENTIAL_BYTES / 4)?;
        if password.len() > MAX_CREDENTIAL_BYTES / 4 {
            return Err(invalid(
                format!("password is longer than {} bytes", MAX_CREDENTIAL_BYTES / 4),
                "Use bearer or an API key for long credentials.",
            ));
        }
        check_printable("user name", username)?;
        check_printable("password", password)?;
        if username.contains(':') {
            return Err(invalid(
                "user name contains a colon",
                "Basic authentication cannot carry such a name; choose another one.",
            ));
        }
        let pair = BASE64_STANDARD.encode(format!("{username}:{password}"));
        AuthHeader::new(AUTHORIZATION, format!("Basic {pair}"))
    }

    /// A key in the header called `name`.
    ///
    /// # Errors
    /// `name` is no name of a header that users may set, or the key is not visible ASCII with blanks inside.
    pub fn api_key(name: &str, key: &str) -> Result<AuthHeader, InvalidAuth> {
        let name = api_key_name(name)?;
        check_length("key", key, MAX_CREDENTIAL_BYTES)?;
        let inner = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !inner || key.trim() != key {
            return Err(invalid(
                "key contains a control character, a non-ASCII character, or a blank at its start or end",
                "Use visible ASCII characters; a line end often comes from reading a file.",
            ));
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
        AuthHeader::new(name, key.to_owned())
    }

    fn new(name: HeaderName, value: String) -> Result<AuthHeader, InvalidAuth> {
        let mut value = HeaderValue::try_from(value).map_err(|_| unsendable())?;
        value.set_sensitive(true);
        Ok(AuthHeader { name, value })
    }

    /// The name, in lower case. Whoever shows the headers of a request masks this one.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The same header with a mask in place of its value.
    #[must_use]
    pub fn masked(&self) -> AuthHeader {
        AuthHeader {
            name: self.name.clone(),
            value: HeaderValue::from_static(MASK),
        }
    }

    /// The header of a token that nobody has asked for.
    #[must_use]
    pub fn masked_token() -> AuthHeader {
        AuthHeader {
            name: AUTHORIZATION,
            value: HeaderValue::from_static(MASK),
        }
    }

    /// Puts the header among `headers`, in place of those of the same name.
    pub fn apply(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }

    /// What a receiver could repeat of it: the credential without the word before it, and of user name and
    /// password the pair, and a password of 8 bytes and more.
    #[must_use]
    pub fn echo(&self) -> Echo {
        let value = self.value.as_bytes();
        let word = (self.name == AUTHORIZATION).then(|| value.iter().position(|byte| *byte == b' '));
        let credential = word.flatten().map_or(value, |end| &value[end + 1..]);
        // Not everybody pads base64.
        let padding = credential.iter().rev().take_while(|byte| **byte == b'=').count();
        let credential = &credential[..credential.len() - padding];
        let pair = value
            .strip_prefix(b"Basic ")
            .and_then(|pair| BASE64_STANDARD.decode(pair).ok())
            .unwrap_or_default();
        let colon = pair.iter().position(|byte| *byte == b':');
        let password = colon.map_or(&[][..], |colon| &pair[colon + 1..]);
        if password.len() < SECRET_PASSWORD_BYTES {
            return Echo::of(&[credential, &pair]);
        }
        Echo::of(&[credential, &pair, password])
    }

    #[cfg(test)]
    pub(super) fn value(&self) -> &str {
        self.value.to_str().unwrap()
    }
}

/// The name of a header that may carry a key, in lower case.
///
/// # Errors
/// The header is reserved, or means something else.
fn api_key_name(name: &str) -> Result<String, InvalidAuth> {
    let name = headers::check_name(name).map_err(|problem| invalid(problem.message, problem.hint))?;
    if MEANINGFUL.contains(&name.as_str()) {
        return Err(invalid(
            format!("header \"{name}\" cannot carry a key"),
            "Use the header that the receiver looks for the key in, such as X-Api-Key.",
        ));
    }
    Ok(name)
}

fn unsendable() -> InvalidAuth {
    invalid(
        "credential cannot be sent in a header",
        "Use visible ASCII characters.",
    )
}

impl fmt::Debug for AuthHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthHeader({})", self.name)
    }
}
