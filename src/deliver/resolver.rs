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

use super::descriptors::is_shortage;
use super::failure::{Failure, io_detail};
use super::interfaces::Interfaces;
use super::limit::Limit;
use super::lookup::{Lookups, Miss};
use super::trace;
use crate::domain::address::AddressRules;
use crate::domain::endpoint::Scheme;
use crate::domain::outcome::Unreachable;

/// For looking up a name.
const LOOKUP_BOUND: Duration = Duration::from_secs(10);

/// Resolves and checks: no address leaves here that the rules deny, and none else is dialled. Of a name
/// with several addresses, those that are denied are passed over; if none is left, nothing is dialled.
///
/// ureq asks for every attempt, even when it has a connection already, so a rule or an address that
/// changed takes effect at once.
pub struct Resolver {
    lookups: Arc<Lookups>,
    rules: Arc<AddressRules>,
    interfaces: Arc<Interfaces>,
}

impl Resolver {
    pub fn new(lookups: Arc<Lookups>, rules: Arc<AddressRules>, interfaces: Arc<Interfaces>) -> Resolver {
        Resolver {
            lookups,
            rules,
            interfaces,
        }
    }

    /// This server's own addresses. Without them nothing is let through.
    fn own(&self) -> Result<Arc<[IpAddr]>, Error> {
        self.interfaces.addresses().map_err(|error| {
            let detail = format!(
                "could not list the addresses of this server: {}",
                io_detail(&error)
            );
            if is_shortage(&error) {
                Failure::Shortage { detail }.into()
            } else {
                blocked(detail)
            }
        })
    }
}

/// The addresses of the host of a URL, which may be one.
pub fn addresses_of(lookups: &Arc<Lookups>, host: &str, limit: &Limit) -> Result<Arc<[IpAddr]>, Error> {
    if let Some(address) = literal(host) {
        return Ok(Arc::new([address]));
    }
    let begun = Instant::now();
    let found = lookups.find(host, limit.deadline());
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

impl UreqResolver for Resolver {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let scheme = if uri.scheme_str() == Some("https") {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let port = uri.port_u16().unwrap_or(scheme.default_port());
        let limit = Limit::new(timeout, LOOKUP_BOUND);
        let found = addresses_of(&self.lookups, uri.host().unwrap_or_default(), &limit)?;
        let own = self.own()?;

        let mut resolved = self.empty();
        let mut denied = None;
        for &address in found.iter() {
            let address = SocketAddr::new(address, port);
            match self.rules.check(scheme, address, &own) {
                // It holds no more than this many.
                Ok(()) if resolved.len() < 16 => resolved.push(address),
                Ok(()) => {}
                Err(why) => denied = Some(why),
            }
        }
        match denied {
            _ if !resolved.is_empty() => Ok(resolved),
            Some(why) => Err(blocked(why.to_string())),
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

fn blocked(detail: String) -> Error {
    Failure::Unreachable {
        cause: Unreachable::Blocked,
        detail,
    }
    .into()
}

fn dns(detail: String) -> Error {
    Failure::Unreachable {
        cause: Unreachable::Dns,
        detail,
    }
    .into()
}

#[cfg(test)]
mod tests;
