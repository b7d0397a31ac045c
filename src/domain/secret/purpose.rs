//! What a secret is for.

/// `hooks.secret.purpose`. A queue has one current secret for each at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Key of the HMACs of a signature: `v1`, `github`, `postmand`, `stripe`.
    Signing,
    /// Private key of the signature `v1a`.
    SigningEd25519,
    /// Token of `Authorization: Bearer`.
    Bearer,
    /// Password of `Authorization: Basic`.
    Basic,
    /// Value of a header that the receiver asks for.
    ApiKey,
    /// Of the client credentials of OAuth 2.0.
    OauthClientSecret,
    /// Private key of a client certificate, in PEM.
    MtlsKey,
}

impl Purpose {
    /// Every purpose, by the name that SQL uses.
    pub const ALL: [(&'static str, Purpose); 7] = [
        ("signing", Purpose::Signing),
        ("signing_ed25519", Purpose::SigningEd25519),
        ("bearer", Purpose::Bearer),
        ("basic", Purpose::Basic),
        ("api_key", Purpose::ApiKey),
        ("oauth2_client_secret", Purpose::OauthClientSecret),
        ("mtls_key", Purpose::MtlsKey),
    ];

    #[must_use]
    pub fn parse(name: &str) -> Option<Purpose> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, purpose)| *purpose)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Signing => "signing",
            Purpose::SigningEd25519 => "signing_ed25519",
            Purpose::Bearer => "bearer",
            Purpose::Basic => "basic",
            Purpose::ApiKey => "api_key",
            Purpose::OauthClientSecret => "oauth2_client_secret",
            Purpose::MtlsKey => "mtls_key",
        }
    }

    /// Every name, for a hint.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }
}
