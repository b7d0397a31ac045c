//! Signatures of requests: what shows a receiver that a request is ours and was not changed.
//!
//! Each is made over the exact bytes of the body. Those of Standard Webhooks and Stripe take in the time
//! of the attempt, so that what somebody recorded cannot be sent again later.

mod key;
mod scheme;

use http::HeaderValue;
use http::header::HeaderName;

use key::{Key, hex};
pub use scheme::Scheme;

use super::secret::{Held, Secrets, Unavailable};
use super::time::Timestamp;

/// Standard Webhooks, "Webhook headers".
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// GitHub, "Validating webhook deliveries".
const HUB_SIGNATURE_256: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// As postmand has it: the hex of GitHub's, without its prefix.
const HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature");
/// Stripe, "Verify webhook signatures manually".
const STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

/// Where signatures go.
pub const HEADERS: [HeaderName; 4] = [
    WEBHOOK_SIGNATURE,
    HUB_SIGNATURE_256,
    HUB_SIGNATURE,
    STRIPE_SIGNATURE,
];

/// What the requests of a queue are signed with.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    signers: Vec<Signer>,
}

/// One scheme with its keys.
#[derive(Clone, Debug)]
struct Signer {
    scheme: Scheme,
    /// The newest first.
    keys: Vec<Dated>,
}

/// A key, or why it cannot be used, and until when it counts.
#[derive(Clone, Debug)]
struct Dated {
    expires_at: Option<Timestamp>,
    key: Result<Key, Unavailable>,
}

/// What is signed.
struct Content<'a> {
    id: &'a str,
    seconds: i64,
    body: &'a [u8],
}

impl Signing {
    #[must_use]
    pub fn new(schemes: &[Scheme], secrets: &Secrets) -> Signing {
        let signers = schemes.iter().map(|scheme| Signer {
            scheme: *scheme,
            keys: secrets
                .of(scheme.purpose())
                .map(|held| dated(*scheme, held))
                .collect(),
        });
        Signing {
            signers: signers.collect(),
        }
    }

    /// Whether nothing is signed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signers.is_empty()
    }

    /// Why no request that is made `now` can be signed, if so.
    #[must_use]
    pub fn problem_at(&self, now: Timestamp) -> Option<Unavailable> {
        self.signers.iter().find_map(|signer| signer.keys_at(now).err())
    }

    /// The headers that sign a request which is made `now`.
    ///
    /// While an earlier secret counts on, a header that can hold several signatures has one for each, and
    /// one that cannot has that of the earliest: the receiver need not know the new secret yet.
    ///
    /// # Errors
    /// A signature cannot be made: then nothing may be sent.
    pub fn headers(
        &self,
        webhook_id: &str,
        now: Timestamp,
        body: &[u8],
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Unavailable> {
        let content = Content {
            id: webhook_id,
            seconds: now.unix_seconds(),
            body,
        };
        let mut standard = Vec::new();
        let mut headers = Vec::new();
        for signer in &self.signers {
            let keys = signer.keys_at(now)?;
            let oldest = keys.oldest();
            match signer.scheme {
                Scheme::V1 | Scheme::V1a => {
                    standard.extend(keys.newest_first().map(|key| content.standard(key)))
                }
                Scheme::Github => {
                    let value = format!("sha256={}", hex(&oldest.sign(&[body])));
                    headers.push((HUB_SIGNATURE_256, value));
                }
                Scheme::Postmand => headers.push((HUB_SIGNATURE, hex(&oldest.sign(&[body])))),
                Scheme::Stripe => headers.push((STRIPE_SIGNATURE, content.stripe(&keys))),
            }
        }
        if !standard.is_empty() {
            headers.push((WEBHOOK_SIGNATURE, standard.join(" ")));
        }
        headers.into_iter().map(in_ascii).collect()
    }
}

/// Signatures are ASCII, so this does not fail.
fn in_ascii((name, value): (HeaderName, String)) -> Result<(HeaderName, HeaderValue), Unavailable> {
    let value = HeaderValue::try_from(value).map_err(|_| Unavailable {
        detail: format!("header \"{name}\" cannot be sent"),
    })?;
    Ok((name, value))
}

fn dated(scheme: Scheme, held: &Held) -> Dated {
    Dated {
        expires_at: held.expires_at,
        key: held.open().and_then(|secret| Key::new(scheme, secret)),
    }
}

impl Signer {
    /// The keys that count now. An earlier one that cannot be used is left out: the receiver may know the
    /// newest already, and nothing else could be sent until it ends.
    fn keys_at(&self, now: Timestamp) -> Result<Keys<'_>, Unavailable> {
        let mut valid = self
            .keys
            .iter()
            .filter(|dated| dated.expires_at.is_none_or(|end| now < end));
        let newest = valid
            .next()
            .ok_or_else(|| Unavailable::missing(self.scheme.purpose()))?;
        Ok(Keys {
            newest: newest.key.as_ref().map_err(Clone::clone)?,
            earlier: valid.filter_map(|dated| dated.key.as_ref().ok()).collect(),
        })
    }
}

/// Keys that count at one moment.
struct Keys<'a> {
    newest: &'a Key,
    /// The newest of them first.
    earlier: Vec<&'a Key>,
}

impl<'a> Keys<'a> {
    fn newest_first(&self) -> impl Iterator<Item = &'a Key> {
        std::iter::once(self.newest).chain(self.earlier.iter().copied())
    }

    fn oldest(&self) -> &'a Key {
        self.earlier.last().copied().unwrap_or(self.newest)
    }
}

impl Content<'_> {
    /// Standard Webhooks, "Signature scheme": over `id.timestamp.body`.
    fn standard(&self, key: &Key) -> String {
        let head = format!("{}.{}.", self.id, self.seconds);
        key.standard(&[head.as_bytes(), self.body])
    }

    /// Over `timestamp.body`; one `v1` for each secret.
    fn stripe(&self, keys: &Keys<'_>) -> String {
        let head = format!("{}.", self.seconds);
        let signatures = keys
            .newest_first()
            .map(|key| format!(",v1={}", hex(&key.sign(&[head.as_bytes(), self.body]))));
        format!("t={}{}", self.seconds, signatures.collect::<String>())
    }
}

#[cfg(test)]
mod tests;
