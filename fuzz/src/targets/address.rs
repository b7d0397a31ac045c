//! Lists of networks and ports, and what they say of an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pg_hooks::domain::address::{AddressRules, Denied};
use pg_hooks::domain::endpoint::Scheme;

/// The first 18 bytes are an address and a port, the rest three lists, one a line.
pub fn run(data: &[u8]) {
    let Some((bytes, lists)) = data.split_first_chunk::<18>() else {
        return;
    };
    let [a @ .., p, q] = *bytes;
    let v6 = Ipv6Addr::from(a);
    let [.., w, x, y, z] = v6.octets();
    let v4 = Ipv4Addr::new(w, x, y, z);
    let port = u16::from_be_bytes([p, q]);
    let lists = String::from_utf8_lossy(lists);
    let mut lists = lists.lines();
    let mut next = || lists.next().unwrap_or_default();
    let (allowed, denied, ports) = (next(), next(), next());

    let Ok(rules) = AddressRules::parse(allowed, true) else {
        return;
    };
    for ip in [IpAddr::V4(v4), IpAddr::V6(v6)] {
        check(&rules, ip);
        let itself = AddressRules::parse(&ip.to_string(), true).expect("an address is a network");
        let address = SocketAddr::new(ip, 443);
        let reached = itself.check(Scheme::Http, address, &[ip]);
        // What leads to an IPv4 address is not open where that is not.
        let leads_elsewhere =
            matches!(reached, Err(Denied::CarriesSpecial { .. } | Denied::Own { .. })) && ip.is_ipv6();
        assert!(reached.is_ok() || leads_elsewhere, "{reached:?}");
        let closed = rules
            .clone()
            .denying(&ip.to_string())
            .expect("an address is a network");
        assert!(closed.check(Scheme::Https, address, &[]).is_err());
    }
    if let Ok(rules) = rules.clone().denying(denied) {
        for ip in [IpAddr::V4(v4), IpAddr::V6(v6)] {
            check(&rules, ip);
        }
    }
    if let Ok(rules) = rules.on_ports(ports) {
        let address = SocketAddr::new(v4.into(), port);
        let reached = rules.check(Scheme::Https, address, &[]);
        assert!(reached.is_err() || rules.check_port(port).is_ok());
        assert!(rules.check_port(0).is_err());
    }
}

/// Plain http reaches nothing that https does not, an own address nothing that is not allowed, and an
/// IPv4 address is judged alike in its IPv6 form.
fn check(rules: &AddressRules, ip: IpAddr) {
    let address = SocketAddr::new(ip, 443);
    let https = rules.check(Scheme::Https, address, &[]);
    assert!(rules.check(Scheme::Http, address, &[]).is_err() || https.is_ok());
    assert!(rules.check(Scheme::Https, address, &[ip.to_canonical()]).is_err() || https.is_ok());
    if let IpAddr::V4(v4) = ip {
        let mapped = SocketAddr::new(v4.to_ipv6_mapped().into(), 443);
        assert_eq!(rules.check(Scheme::Https, mapped, &[]).is_ok(), https.is_ok());
    }
}
