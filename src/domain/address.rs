//! Which addresses messages may go to.
//!
//! Denied is whatever IANA's special-purpose registries (RFC 6890 and its updates) do not call globally
//! reachable, in every notation that leads to the same place, and this server itself. A user who may
//! create a queue could otherwise have the server call its own network.

mod networks;
mod ports;
mod special;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::endpoint::Scheme;
use networks::Networks;
use ports::Ports;
use special::{carried_ipv4, special_class};

/// What the administrator opened beyond public addresses over https, and what he closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRules {
    allowed: Networks,
    denied: Networks,
    ports: Ports,
    require_https: bool,
}

impl AddressRules {
    /// Rules from the settings: `allowed_networks` is a comma-separated list of CIDR networks and
    /// addresses, IPv4 or IPv6; blanks are ignored and an empty list opens nothing. No network is denied
    /// by name, and ports are the usual ones.
    ///
    /// # Errors
    /// One line that names the first item that is neither a network nor an address.
    pub fn parse(allowed_networks: &str, require_https: bool) -> Result<AddressRules, String> {
        Ok(AddressRules {
            allowed: Networks::parse(allowed_networks)?,
            denied: Networks::default(),
            ports: Ports::usual(),
            require_https,
        })
    }

    /// The same rules, with networks that nothing opens, as a list like that of the allowed ones.
    ///
    /// # Errors
    /// One line that names the first item that is neither a network nor an address.
    pub fn denying(self, networks: &str) -> Result<AddressRules, String> {
        let denied = Networks::parse(networks)?;
        Ok(AddressRules { denied, ..self })
    }

    /// The same rules, with these ports: a comma-separated list of numbers and ranges such as `1024-65535`.
    ///
    /// # Errors
    /// One line that names the first item that is no port, or says that there is none.
    pub fn on_ports(self, ports: &str) -> Result<AddressRules, String> {
        let ports = Ports::parse(ports)?;
        Ok(AddressRules { ports, ..self })
    }

    /// Rules that open nothing: public addresses over https only.
    #[must_use]
    pub fn strictest() -> AddressRules {
        AddressRules {
            allowed: Networks::default(),
            denied: Networks::default(),
            ports: Ports::usual(),
            require_https: true,
        }
    }

    /// Whether a connection to `address` may be opened; `own` are the addresses of this server.
    ///
    /// An address in a denied network may never be reached. One in an allowed network may be over either
    /// scheme, a public one of somebody else over https, and over plain http only without
    /// `require_https`. An IPv4-mapped address is the IPv4 address that the kernel dials. An address that
    /// carries an IPv4 destination leads there: if that is allowed, so is the address; if only the address is,
    /// what it leads to must still be public and somebody else's; if neither is, both must be.
    ///
    /// # Errors
    /// What about the address is denied.
    pub fn check(&self, scheme: Scheme, address: SocketAddr, own: &[IpAddr]) -> Result<(), Denied> {
        let ip = address.ip();
        let dialled = ip.to_canonical();
        let carried = carried_ipv4(dialled);
        let places = || [Some(dialled), carried].into_iter().flatten();
        if places().any(|place| self.denied.contains(place)) {
            return Err(Denied::Listed { ip });
        }
        if self.allowed.contains(carried.unwrap_or(dialled)) {
            return self.check_port(address.port());
        }
        let is_opened = self.allowed.contains(dialled);
        if !is_opened && let Some(class) = special_class(dialled) {
            return Err(Denied::Special { ip, class });
        }
        if let Some(inner) = carried
            && let Some(class) = special_class(inner)
        {
            return Err(Denied::CarriesSpecial { ip, inner, class });
        }
        if places().any(|place| own.contains(&place)) {
            return Err(Denied::Own { ip });
        }
        if scheme == Scheme::Http && self.require_https && !is_opened {
            return Err(Denied::PlainHttp { ip });
        }
        self.check_port(address.port())
    }

    /// Whether any address may be reached on `port`.
    ///
    /// # Errors
    /// It may not.
    pub fn check_port(&self, port: u16) -> Result<(), Denied> {
        if self.ports.contains(port) {
            Ok(())
        } else {
            Err(Denied::Port { port })
        }
    }
}

/// Why an address may not be reached. Displays as one factual line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The address is in a network that the administrator denied.
    Listed { ip: IpAddr },
    /// The address belongs to a denied class.
    Special { ip: IpAddr, class: &'static str },
    /// The address leads to an IPv4 address of a denied class.
    CarriesSpecial {
        ip: IpAddr,
        inner: IpAddr,
        class: &'static str,
    },
    /// The address is one of this server.
    Own { ip: IpAddr },
    /// The address is public, but plain http is not allowed.
    PlainHttp { ip: IpAddr },
    /// The port is none of the allowed ones.
    Port { port: u16 },
}

impl Denied {
    /// What to do about it, as a sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Denied::Listed { .. } => "An administrator denied its network by hooks.denied_networks.",
            Denied::Special { .. } | Denied::CarriesSpecial { .. } | Denied::Own { .. } => {
                "An administrator can add its network to hooks.allowed_networks."
            }
            Denied::PlainHttp { .. } => {
                "Use https. An administrator can also add its network to hooks.allowed_networks, or turn \
                 hooks.require_https off."
            }
            Denied::Port { .. } => "An administrator can add it to hooks.allowed_ports.",
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Listed { ip } => write!(f, "address {ip} is in a denied network"),
            Denied::Special { ip, class } => write!(f, "address {ip} is {class}"),
            Denied::CarriesSpecial { ip, inner, class } => {
                write!(f, "address {ip} leads to {inner}, which is {class}")
            }
            Denied::Own { ip } => write!(f, "address {ip} is one of this server"),
            Denied::PlainHttp { ip } => write!(f, "plain http to {ip} is not allowed"),
            Denied::Port { port } => write!(f, "port {port} is not allowed"),
        }
    }
}

impl std::error::Error for Denied {}

#[cfg(test)]
mod tests;
