//! Which addresses messages may go to.
//!
//! Denied is whatever IANA's special-purpose registries (RFC 6890 and its updates) do not call globally
//! reachable, in every notation that leads to the same place. A user who may create a queue could
//! otherwise have the server call its own network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::endpoint::Scheme;

/// What the administrator opened beyond public addresses over https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRules {
    allowed_networks: Vec<IpNet>,
    require_https: bool,
}

impl AddressRules {
    /// Rules from the settings: `allowed_networks` is a comma-separated list of CIDR networks and
    /// addresses, IPv4 or IPv6; blanks are ignored and an empty list opens nothing.
    ///
    /// # Errors
    /// One line that names the first item that is neither a network nor an address.
    pub fn parse(allowed_networks: &str, require_https: bool) -> Result<AddressRules, String> {
        let items = allowed_networks
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let allowed_networks = items.map(parse_network).collect::<Result<_, _>>()?;
        Ok(AddressRules {
            allowed_networks,
            require_https,
        })
    }

    /// Rules that open nothing: public addresses over https only.
    #[must_use]
    pub fn strictest() -> AddressRules {
        AddressRules {
            allowed_networks: Vec::new(),
            require_https: true,
        }
    }

    /// Whether a connection to `ip` may be opened.
    ///
    /// An address in an allowed network may be reached over either scheme, a public one over https, and
    /// over plain http only without `require_https`. An IPv4-mapped address is the IPv4 address that the
    /// kernel dials; an address that carries an IPv4 destination must be fine on both counts.
    ///
    /// # Errors
    /// What about the address is denied.
    pub fn check(&self, scheme: Scheme, ip: IpAddr) -> Result<(), Denied> {
        let dialled = ip.to_canonical();
        let carried = carried_ipv4(dialled);
        if self.is_allowed(dialled) || carried.is_some_and(|inner| self.is_allowed(inner)) {
            return Ok(());
        }
        if let Some(class) = special_class(dialled) {
            return Err(Denied::Special { ip, class });
        }
        if let Some(inner) = carried
            && let Some(class) = special_class(inner)
        {
            return Err(Denied::CarriesSpecial { ip, inner, class });
        }
        if scheme == Scheme::Http && self.require_https {
            return Err(Denied::PlainHttp { ip });
        }
        Ok(())
    }

    fn is_allowed(&self, ip: IpAddr) -> bool {
        self.allowed_networks.iter().any(|network| network.contains(&ip))
    }
}

/// Why an address may not be reached. Displays as one factual line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The address belongs to a denied class.
    Special { ip: IpAddr, class: &'static str },
    /// The address leads to an IPv4 address of a denied class.
    CarriesSpecial {
        ip: IpAddr,
        inner: IpAddr,
        class: &'static str,
    },
    /// The address is public, but plain http is not allowed.
    PlainHttp { ip: IpAddr },
}

impl Denied {
    /// What to do about it, as a sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Denied::Special { .. } | Denied::CarriesSpecial { .. } => {
                "An administrator can add its network to hooks.allowed_networks."
            }
            Denied::PlainHttp { .. } => {
                "Use https. An administrator can also add its network to hooks.allowed_networks, or turn \
                 hooks.require_https off."
            }
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Special { ip, class } => write!(f, "address {ip} is {class}"),
            Denied::CarriesSpecial { ip, inner, class } => {
                write!(f, "address {ip} leads to {inner}, which is {class}")
            }
            Denied::PlainHttp { ip } => write!(f, "plain http to {ip} is not allowed"),
        }
    }
}

impl std::error::Error for Denied {}

/// A network, or an address as a network of its own. Networks of IPv4-mapped addresses become IPv4, as
/// the addresses do before they are compared; `::/0` therefore does not open IPv4.
fn parse_network(item: &str) -> Result<IpNet, String> {
    let network = item
        .parse::<IpNet>()
        .or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| format!("\"{item}\" is not a network or address"))?;
    if let (Some(prefix), IpAddr::V4(ip)) = (
        network.prefix_len().checked_sub(96),
        network.addr().to_canonical(),
    ) && let Ok(ipv4) = Ipv4Net::new(ip, prefix)
    {
        return Ok(ipv4.into());
    }
    Ok(network)
}

/// The IPv4 address that `ip` leads to: by NAT64 (RFC 6052), or as an IPv4-compatible address (RFC 4291).
///
/// 6to4 and Teredo addresses hold the end of a tunnel, not a destination, and a local NAT64 prefix
/// (RFC 8215) holds it in a place that only its network knows: all of these are denied as they are.
fn carried_ipv4(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(ip) = ip else { return None };
    let compatible = IPV4_COMPATIBLE.contains(&ip) && !ip.is_unspecified() && !ip.is_loopback();
    let [.., a, b, c, d] = ip.octets();
    (compatible || NAT64.contains(&ip)).then(|| Ipv4Addr::new(a, b, c, d).into())
}

/// What kind of address `ip` is when it is not an ordinary public one.
fn special_class(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => SPECIAL_IPV4
            .iter()
            .find(|(network, _)| network.contains(&ip))
            .map(|(_, class)| *class),
        IpAddr::V6(ip) if ip.is_unspecified() => Some("unspecified"),
        IpAddr::V6(ip) if ip.is_loopback() => Some("loopback"),
        IpAddr::V6(ip) if NAT64.contains(&ip) => None,
        IpAddr::V6(ip) => {
            let special = SPECIAL_IPV6.iter().find(|(network, _)| network.contains(&ip));
            let unassigned = (!GLOBAL_UNICAST.contains(&ip)).then_some("reserved");
            special.map(|(_, class)| *class).or(unassigned)
        }
    }
}

/// IANA IPv4 Special-Purpose Address Registry. The first match counts.
const SPECIAL_IPV4: [(Ipv4Net, &str); 18] = [
    (v4([0, 0, 0, 0], 32), "unspecified"),
    (v4([0, 0, 0, 0], 8), "reserved"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "shared by a carrier-grade NAT"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    // Answers from inside every Azure machine, although the address is a public one.
    (v4([168, 63, 129, 16], 32), "the Azure host"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "reserved"),
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([192, 88, 99, 0], 24), "a 6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([198, 18, 0, 0], 15), "for benchmarking"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// IANA IPv6 Special-Purpose Address Registry, and the deprecated RFC 3879 and RFC 4291 forms. The first
/// match counts.
const SPECIAL_IPV6: [(Ipv6Net, &str); 14] = [
    (IPV4_COMPATIBLE, "IPv4-compatible"),
    (v6([0x64, 0xff9b, 1, 0], 48), "behind a local NAT64"),
    (v6([0x100, 0, 0, 0], 64), "discard-only"),
    (v6([0x2001, 0, 0, 0], 32), "a Teredo tunnel"),
    (v6([0x2001, 2, 0, 0], 48), "for benchmarking"),
    (v6([0x2001, 0, 0, 0], 23), "reserved"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0, 0], 16), "a 6to4 tunnel"),
    (v6([0x3fff, 0, 0, 0], 20), "for documentation"),
    (v6([0x5f00, 0, 0, 0], 16), "a segment routing id"),
    (v6([0xfc00, 0, 0, 0], 7), "private"),
    (v6([0xfe80, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0], 8), "multicast"),
];

/// The only IPv6 space that IANA assigns for hosts (RFC 4291).
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);
const IPV4_COMPATIBLE: Ipv6Net = v6([0, 0, 0, 0], 96);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// A network by the upper half of its address.
const fn v6([a, b, c, d]: [u16; 4], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

#[cfg(test)]
mod tests;
