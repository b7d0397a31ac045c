//! What is stored of the authentication of a queue.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    Auth, AuthHeader, Certificate, ClientAuthentication, ClientCredentials, HeaderAuth, InvalidAuth, invalid,
};
use crate::domain::endpoint::Endpoint;
use crate::domain::secret::{Purpose, Secrets};

/// One row of `hooks.auth`.
#[derive(Clone, Debug, Deserialize)]
pub struct AuthRow {
    scheme: String,
    header: Option<String>,
    username: Option<String>,
    token_url: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
    audience: Option<String>,
    client_authentication: Option<String>,
    certificate: Option<String>,
}

impl AuthRow {
    /// The row as PostgreSQL writes it in JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn from_json(json: &[u8]) -> Result<AuthRow, InvalidAuth> {
        let text = String::from_utf8_lossy(json);
        serde_json::from_str(&text).map_err(|_| {
            invalid(
                "authentication of the queue cannot be read",
                "Set it with hooks.use_bearer() and its kin.",
            )
        })
    }

    /// What the secret of this row is for.
    ///
    /// # Errors
    /// The scheme is not known.
    pub fn purpose(&self) -> Result<Purpose, InvalidAuth> {
        match self.scheme.as_str() {
            "bearer" => Ok(Purpose::Bearer),
            "basic" => Ok(Purpose::Basic),
            "api_key" => Ok(Purpose::ApiKey),
            "oauth2" => Ok(Purpose::OauthClientSecret),
            "certificate" => Ok(Purpose::MtlsKey),
            _ => Err(invalid(
                "authentication scheme is not known",
                "Use bearer, basic, api_key, oauth2 or certificate.",
            )),
        }
    }

    /// Makes `secret` and what the row says a part of `auth`.
    ///
    /// # Errors
    /// A part that no request can carry.
    pub fn add_to(&self, auth: &mut Auth, secret: &str) -> Result<(), InvalidAuth> {
        let header = match self.purpose()? {
            Purpose::Basic => AuthHeader::basic(required("user name", &self.username)?, secret)?,
            Purpose::ApiKey => AuthHeader::api_key(required("header", &self.header)?, secret)?,
            Purpose::OauthClientSecret => {
                auth.header = HeaderAuth::Token(Arc::new(self.credentials(secret)?));
                return Ok(());
            }
            Purpose::MtlsKey => {
                let chain = required("certificate", &self.certificate)?;
                auth.certificate = Some(Arc::new(Certificate::from_pem(chain, secret)?));
                return Ok(());
            }
            _ => AuthHeader::bearer(secret)?,
        };
        auth.header = HeaderAuth::Fixed(header);
        Ok(())
    }

    fn credentials(&self, secret: &str) -> Result<ClientCredentials, InvalidAuth> {
        let url = Endpoint::parse(required("token_url", &self.token_url)?)
            .map_err(|problem| invalid(format!("token_url: {}", problem.message), problem.hint))?;
        let named = self.client_authentication.as_deref().unwrap_or_default();
        let authentication = ClientAuthentication::parse(named).ok_or_else(|| {
            invalid(
                "client_authentication must be basic or body",
                "Use basic unless the token endpoint wants id and secret as parameters.",
            )
        })?;
        ClientCredentials::new(
            url,
            required("client id", &self.client_id)?,
            secret,
            self.scope.as_deref(),
            self.audience.as_deref(),
            authentication,
        )
    }
}

/// What a queue with these rows authenticates with.
///
/// # Errors
/// Why it cannot, as one line for people that holds nothing secret. One part that cannot be had is enough.
pub fn assemble(rows: &[AuthRow], secrets: &Secrets) -> Result<Auth, String> {
    let mut auth = Auth::default();
    for row in rows {
        let purpose = row.purpose().map_err(|invalid| invalid.message)?;
        let secret = secrets.current(purpose).map_err(|missing| missing.detail)?;
        let secret = secret
            .expose_text()
            .ok_or("secret of the queue is not text in UTF-8")?;
        row.add_to(&mut auth, secret).map_err(|invalid| invalid.message)?;
    }
    Ok(auth)
}

fn required<'a>(what: &str, value: &'a Option<String>) -> Result<&'a str, InvalidAuth> {
    value.as_deref().ok_or_else(|| {
        invalid(
            format!("{what} must not be null"),
            "Give it, or use hooks.remove_auth() to authenticate no more.",
        )
    })
}

#[cfg(test)]
mod tests;
