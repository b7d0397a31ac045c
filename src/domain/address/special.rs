//! Addresses that are no ordinary public ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The IPv4 address that `ip` leads to: by NAT64 (RFC 6052), or as an IPv4-compatible address (RFC 4291).
///
/// 6to4 and Teredo addresses hold the end of a tunnel, not a destination, and a local NAT64 prefix
/// (RFC 8215) holds it in a place that only its network knows: all of these are denied as they are.
pub fn carried_ipv4(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(ip) = ip else { return None };
    let compatible = IPV4_COMPATIBLE.contains(&ip) && !ip.is_unspecified() && !ip.is_loopback();
    let [.., a, b, c, d] = ip.octets();
    (compatible || NAT64.contains(&ip)).then(|| Ipv4Addr::new(a, b, c, d).into())
}

/// What kind of address `ip` is when it is not an ordinary public one.
pub fn special_class(ip: IpAddr) -> Option<&'static str> {
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
