//! The ways to sign.

use crate::domain::secret::Purpose;

/// How a request is signed. `hooks.queue.signatures` holds any number of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks, HMAC-SHA256, in `webhook-signature`.
    V1,
    /// Standard Webhooks, ed25519, in `webhook-signature`.
    V1a,
    /// `X-Hub-Signature-256: sha256=<hex>`.
    Github,
    /// `X-Hub-Signature: <hex>`.
    Postmand,
    /// `Stripe-Signature: t=<seconds>,v1=<hex>`.
    Stripe,
}

impl Scheme {
    /// Every scheme, by the name that SQL uses.
    pub const ALL: [(&'static str, Scheme); 5] = [
        ("v1", Scheme::V1),
        ("v1a", Scheme::V1a),
        ("github", Scheme::Github),
        ("postmand", Scheme::Postmand),
        ("stripe", Scheme::Stripe),
    ];

    #[must_use]
    pub fn parse(name: &str) -> Option<Scheme> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, scheme)| *scheme)
    }

    /// What the secret that it takes is stored for.
    #[must_use]
    pub fn purpose(self) -> Purpose {
        match self {
            Scheme::V1a => Purpose::SigningEd25519,
            Scheme::V1 | Scheme::Github | Scheme::Postmand | Scheme::Stripe => Purpose::Signing,
        }
    }
}
