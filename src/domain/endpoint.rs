//! Where a queue's messages go: a URL that was checked.
//!
//! The `url` crate (WHATWG) reads it once. What it understood is what is checked and what is dialled, so
//! no second parser can be talked into another host.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use url::{Host, ParseError, Url};

/// Longest URL, in bytes, as given and as written out again.
pub const MAX_URL_BYTES: usize = 2048;

/// The schemes a queue may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The name as it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port of a URL that names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// An absolute http or https URL without user info and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    text: String,
    uri: Uri,
    scheme: Scheme,
    host: String,
    port: u16,
    literal_address: Option<IpAddr>,
}

impl Endpoint {
    /// The endpoint that `raw` names, normalised as browsers do.
    ///
    /// # Errors
    /// See [`InvalidUrl`]; no part of `raw` is in it.
    pub fn parse(raw: &str) -> Result<Endpoint, InvalidUrl> {
        check_text(raw)?;
        let url = Url::parse(raw).map_err(not_a_url)?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(invalid("URL has a scheme other than http and https", GIVE_URL)),
        };
        check_authority(raw, scheme)?;
        if url.fragment().is_some() {
            return Err(invalid("URL has a fragment", "Remove everything from the # on."));
        }
        if url.port() == Some(0) {
            return Err(invalid("URL has port 0", "Give a port from 1 to 65535, or none."));
        }
        if url.as_str().len() > MAX_URL_BYTES {
            return Err(too_long());
        }
        let literal_address = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(name)) if is_dns_name(name) => None,
            _ => return Err(invalid("URL has a host that is not a DNS name", GIVE_URL)),
        };
        Ok(Endpoint {
            uri: same_uri(&url)?,
            scheme,
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port().unwrap_or(scheme.default_port()),
            literal_address,
            text: url.into(),
        })
    }

    /// The normalised URL with its query, which may hold secrets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same URL as the HTTP client takes it.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case: a name in ASCII (punycode), an IPv4 address, or an IPv6 one in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether scheme, host and port are those of `other` (RFC 6454).
    #[must_use]
    pub fn has_origin_of(&self, other: &Endpoint) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// The port given, or the one of the scheme; never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one rather than a name: `http://0x7f.1/` is at 127.0.0.1.
    #[must_use]
    pub fn literal_address(&self) -> Option<IpAddr> {
        self.literal_address
    }

    /// `scheme://host:port/path`, fit for logs: without the query.
    #[must_use]
    pub fn display(&self) -> String {
        format!(
            "{}://{}:{}{}",
            self.scheme.as_str(),
            self.host,
            self.port,
            self.uri.path()
        )
    }
}

/// Without the query, as queues end up in debug output.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.display())
    }
}

/// Why a text is no endpoint. Holds nothing of the text, which may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUrl {
    /// What is wrong, in the style of PostgreSQL's primary messages.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: String,
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidUrl {}

const GIVE_URL: &str = "Give an absolute URL such as https://example.com/path.";

fn invalid(message: impl Into<String>, hint: &str) -> InvalidUrl {
    InvalidUrl {
        message: message.into(),
        hint: hint.to_owned(),
    }
}

fn too_long() -> InvalidUrl {
    invalid(
        format!("URL is longer than {MAX_URL_BYTES} bytes"),
        "Move data from the URL into headers or the body.",
    )
}

/// `ParseError` displays as one of a few fixed phrases.
fn not_a_url(error: ParseError) -> InvalidUrl {
    match error {
        ParseError::EmptyHost => invalid("URL has no host", GIVE_URL),
        ParseError::RelativeUrlWithoutBase => invalid("URL is not absolute", GIVE_URL),
        _ => invalid(format!("URL is not valid: {error}"), GIVE_URL),
    }
}

/// What WHATWG silently removes or turns into a slash is most likely a mistake, or an attack.
fn check_text(raw: &str) -> Result<(), InvalidUrl> {
    if raw.len() > MAX_URL_BYTES {
        return Err(too_long());
    }
    if raw.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(invalid(
            "URL contains a space, a control character or a backslash",
            "Percent-encode it, for example a space as %20.",
        ));
    }
    Ok(())
}

/// WHATWG reads `https:x` and `https:///x` as `https://x`, and drops an empty user info. Here a host
/// follows the two slashes at once.
fn check_authority(raw: &str, scheme: Scheme) -> Result<(), InvalidUrl> {
    let rest = raw
        .get(scheme.as_str().len()..)
        .and_then(|rest| rest.strip_prefix("://"))
        .unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(invalid("URL has no host", GIVE_URL));
    }
    if authority.contains('@') {
        return Err(invalid(
            "URL contains a user name or password",
            "Remove it and set an Authorization header instead.",
        ));
    }
    Ok(())
}

/// Letters, digits, hyphens and underscores in labels of 1 to 63 bytes, 253 in all, and perhaps a final
/// dot (RFC 1035, section 2.3.4).
fn is_dns_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// The URL for the HTTP client, if that reads every part of it as we do.
fn same_uri(url: &Url) -> Result<Uri, InvalidUrl> {
    let uri = url.as_str().parse::<Uri>().ok();
    let same = uri.filter(|uri| {
        uri.scheme_str() == Some(url.scheme())
            && uri.host() == url.host_str()
            && uri.port_u16() == url.port()
            && uri.path() == url.path()
            && uri.query() == url.query()
    });
    same.ok_or_else(|| {
        invalid(
            "URL cannot be sent in an HTTP request",
            "Percent-encode unusual characters in it.",
        )
    })
}

#[cfg(test)]
mod tests;
