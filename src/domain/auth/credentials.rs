//! OAuth 2.0 client credentials: what is asked of a token endpoint.

use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{InvalidAuth, check_length, check_printable, invalid};
use crate::domain::endpoint::Endpoint;
use crate::domain::request::PRODUCT;

/// Longest client id or secret, in bytes. Encoded they fit into a header.
const MAX_CREDENTIAL_BYTES: usize = 1024;
/// Longest scope or audience, in bytes.
const MAX_PARAMETER_BYTES: usize = 2048;

/// How the client authenticates itself to the token endpoint (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuthentication {
    /// In an `Authorization: Basic` header, which every token endpoint has to support.
    Basic,
    /// As parameters in the body of the request.
    Body,
}

impl ClientAuthentication {
    /// By the names that SQL uses, which are close to those of RFC 7591, `token_endpoint_auth_method`.
    #[must_use]
    pub fn parse(name: &str) -> Option<ClientAuthentication> {
        match name {
            "basic" => Some(ClientAuthentication::Basic),
            "body" => Some(ClientAuthentication::Body),
            _ => None,
        }
    }
}

/// What a token is asked for with. Two that are equal may use the same token.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    token_url: Endpoint,
    client_id: String,
    client_secret: Zeroizing<String>,
    scope: Option<String>,
    audience: Option<String>,
    authentication: ClientAuthentication,
}

impl ClientCredentials {
    /// Checked credentials. `scope` is a list separated by single blanks.
    ///
    /// # Errors
    /// A part that no request can carry.
    pub fn new(
        token_url: Endpoint,
        client_id: &str,
        client_secret: &str,
        scope: Option<&str>,
        audience: Option<&str>,
        authentication: ClientAuthentication,
    ) -> Result<ClientCredentials, InvalidAuth> {
        for (what, text) in [("client id", client_id), ("client secret", client_secret)] {
            check_length(what, text, MAX_CREDENTIAL_BYTES)?;
            check_printable(what, text)?;
        }
        if let Some(scope) = scope {
            check_length("scope", scope, MAX_PARAMETER_BYTES)?;
            check_scope(scope)?;
        }
        if let Some(audience) = audience {
            check_length("audience", audience, MAX_PARAMETER_BYTES)?;
            check_printable("audience", audience)?;
        }
        Ok(ClientCredentials {
            token_url,
            client_id: client_id.to_owned(),
            client_secret: Zeroizing::new(client_secret.to_owned()),
            scope: scope.map(str::to_owned),
            audience: audience.map(str::to_owned),
            authentication,
        })
    }

    /// The request for a token, and its body (RFC 6749, section 4.4.2).
    #[must_use]
    pub fn request(&self) -> (http::Request<()>, Vec<u8>) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        let named = [("scope", &self.scope), ("audience", &self.audience)];
        for (name, value) in named {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let mut request = http::Request::new(());
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        match self.authentication {
            ClientAuthentication::Basic => {
                // Base64 is always fit for a header.
                if let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", self.basic_pair())) {
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
            }
            ClientAuthentication::Body => {
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_secret", &self.client_secret);
            }
        }
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.token_url.uri().clone();
        (request, form.finish().into_bytes())
    }

    /// Id and secret, each form-urlencoded before they are joined (RFC 6749, section 2.3.1).
    fn basic_pair(&self) -> String {
        let pair = format!("{}:{}", encoded(&self.client_id), encoded(&self.client_secret));
        BASE64_STANDARD.encode(pair)
    }

    /// Whether `text` repeats the secret, in one of the spellings in which it was sent.
    #[must_use]
    pub fn is_betrayed_by(&self, text: &str) -> bool {
        [
            self.client_secret.to_string(),
            encoded(&self.client_secret),
            self.basic_pair(),
        ]
        .iter()
        .any(|spelling| text.contains(spelling.as_str()))
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// RFC 6749, section 3.3.
fn check_scope(scope: &str) -> Result<(), InvalidAuth> {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if scope
        .split(' ')
        .all(|token| !token.is_empty() && token.bytes().all(legal))
    {
        return Ok(());
    }
    Err(invalid(
        "scope is not a list of words separated by single blanks",
        "Give scopes such as 'orders.write orders.read', in visible ASCII without quotes and backslashes.",
    ))
}

impl Hash for ClientCredentials {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.token_url.as_str().hash(state);
        self.client_id.hash(state);
        self.client_secret.hash(state);
        (&self.scope, &self.audience, self.authentication).hash(state);
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_url", &self.token_url)
            .field("client_id", &self.client_id)
            .field("scope", &self.scope)
            .field("audience", &self.audience)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}
