//! From the host of a URL to the addresses that may be dialled.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::NextTimeout;

use super::failure::Failure;
use super::limit::Limit;
use super::lookup::{Lookups, Miss};
use super::trace;
use crate::domain::address::AddressRules;
use crate::domain::endpoint::Scheme;
use crate::domain::outcome::Unreachable;

/// For looking up a name.
const LOOKUP_BOUND: Duration = Duration::from_secs(10);

/// Resolves and checks: no address leaves here that the rules deny, and none else is dialled.
///
/// ureq asks for every attempt, even when it has a connection already, so a rule or an address that
/// changed takes effect at once.
pub struct Resolver {
    lookups: Arc<Lookups>,
    rules: Arc<AddressRules>,
}

impl Resolver {
    pub fn new(lookups: Arc<Lookups>, rules: Arc<AddressRules>) -> Resolver {
        Resolver { lookups, rules }
    }

    fn addresses(&self, host: &str, limit: &Limit) -> Result<Arc<[IpAddr]>, Error> {
        if let Some(address) = literal(host) {
            return Ok(Arc::new([address]));
        }
        let begun = Instant::now();
        let found = self.lookups.find(host, limit.deadline());
        trace::note(|trace| trace.resolve = Some(begun.elapsed()));
        found.map_err(|miss| match miss {
            Miss::NotFound(why) => dns(format!("could not resolve host \"{host}\": {why}")),
            Miss::Shortage(why) => {
                let detail = format!("could not resolve host \"{host}\": {why}");
                Failure::Shortage { detail }.into()
            }
            Miss::TooSlow => limit.ran_out(Unreachable::Dns, &format!("resolving host \"{host}\"")),
        })
    }
}

impl UreqResolver for Resolver {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let scheme = if uri.scheme_str() == Some("https") {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let port = uri.port_u16().unwrap_or(scheme.default_port());
        let limit = Limit::new(timeout, LOOKUP_BOUND);
        let found = self.addresses(uri.host().unwrap_or_default(), &limit)?;

        let mut resolved = self.empty();
        let mut denied = None;
        for &address in found.iter() {
            match self.rules.check(scheme, address) {
                // It holds no more than this many.
                Ok(()) if resolved.len() < 16 => resolved.push(SocketAddr::new(address, port)),
                Ok(()) => {}
                Err(why) => denied = Some(why),
            }
        }
        match denied {
            _ if !resolved.is_empty() => Ok(resolved),
            Some(why) => Err(Failure::Unreachable {
                cause: Unreachable::Blocked,
                detail: why.to_string(),
            }
            .into()),
            None => Err(dns("host has no address".to_owned())),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// The address, if the host of a URL is one; IPv6 stands in brackets there.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse().ok()
}

fn dns(detail: String) -> Error {
    Failure::Unreachable {
        cause: Unreachable::Dns,
        detail,
    }
    .into()
}
