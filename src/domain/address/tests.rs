mod registry;

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn rules(allowed_networks: &str) -> AddressRules {
    AddressRules::parse(allowed_networks, true).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// On a port that is usual.
fn socket(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 443)
}

/// What comes of an address on a usual port, on a server whose addresses are others.
fn judged(rules: &AddressRules, scheme: Scheme, ip: IpAddr) -> Result<(), Denied> {
    rules.check(scheme, socket(ip), &[])
}

/// What https to `address` is denied for, without allowed networks.
fn denial(address: &str) -> Option<String> {
    judged(&rules(""), Scheme::Https, ip(address))
        .err()
        .map(|denied| denied.to_string())
}

#[test]
fn public_addresses_may_be_reached_over_https() {
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:200::1",
        "2001:db7::1",
        "3ffe::1",
        "::ffff:93.184.216.34",
        "64:ff9b::93.184.216.34",
    ] {
        assert_eq!(denial(address), None);
    }
}

#[test]
fn addresses_that_are_not_public_are_denied_with_their_class() {
    for (address, class) in [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "reserved"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "shared by a carrier-grade NAT"),
        ("100.127.255.255", "shared by a carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.255", "loopback"),
        ("168.63.129.16", "the Azure host"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.192", "reserved"),
        ("192.0.2.1", "for documentation"),
        ("192.88.99.1", "a 6to4 relay"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "for benchmarking"),
        ("198.19.255.255", "for benchmarking"),
        ("198.51.100.1", "for documentation"),
        ("203.0.113.1", "for documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.254", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::2", "IPv4-compatible"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::93.184.216.34", "IPv4-compatible"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("64:ff9b:1::127.0.0.1", "behind a local NAT64"),
        ("64:ff9b:1:7f00:0:100::", "behind a local NAT64"),
        ("64:ff9b:2::1", "reserved"),
        ("100::1", "discard-only"),
        ("100:0:0:1::1", "reserved"),
        ("2001::1", "a Teredo tunnel"),
        ("2001:0:5db8:d822:0:0:80ff:fffe", "a Teredo tunnel"),
        ("2001:2::1", "for benchmarking"),
        ("2001:1ff::1", "reserved"),
        ("2001:db8::1", "for documentation"),
        ("2002:7f00:1::1", "a 6to4 tunnel"),
        ("2002:5db8:d822::1", "a 6to4 tunnel"),
        ("3fff:fff::1", "for documentation"),
        ("4000::1", "reserved"),
        ("5f00::1", "a segment routing id"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "private"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ] {
        assert_eq!(
            denial(address),
            Some(format!("address {} is {class}", ip(address)))
        );
    }
}

#[test]
fn no_notation_hides_an_ipv4_address() {
    for (address, message) in [
        ("::ffff:127.0.0.1", "address ::ffff:127.0.0.1 is loopback"),
        ("::ffff:a9fe:a9fe", "address ::ffff:169.254.169.254 is link-local"),
        (
            "64:ff9b::10.0.0.1",
            "address 64:ff9b::a00:1 leads to 10.0.0.1, which is private",
        ),
        (
            "64:ff9b::",
            "address 64:ff9b:: leads to 0.0.0.0, which is unspecified",
        ),
    ] {
        assert_eq!(denial(address).as_deref(), Some(message));
    }
}

#[test]
fn an_allowed_network_opens_its_addresses_in_every_notation_that_leads_there() {
    for (networks, address, open) in [
        ("127.0.0.0/8", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1", "::1", false),
        ("0.0.0.0/0", "::", false),
        ("0.0.0.0/0", "::1", false),
        ("0.0.0.0/0", "fc00::1", false),
        ("10.1.2.3/8", "10.255.0.1", true),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("10.0.0.0/8", "::10.0.0.1", true),
        ("10.0.0.0/8", "64:ff9b::10.0.0.1", true),
        ("10.0.0.0/8", "64:ff9b:1::10.0.0.1", false),
        ("10.0.0.0/8", "2002:a00:1::1", false),
        ("::ffff:10.0.0.0/104", "10.0.0.1", true),
        ("::ffff:10.0.0.0/104", "::ffff:10.0.0.1", true),
        ("::ffff:10.0.0.1", "10.0.0.1", true),
        ("::/0", "fd00::1", true),
        ("::/0", "::ffff:10.0.0.1", false),
        ("64:ff9b:1::/48", "64:ff9b:1::10.0.0.1", true),
        ("64:ff9b::/96", "64:ff9b::93.184.216.34", true),
        ("64:ff9b::/96", "64:ff9b::10.0.0.1", false),
        ("64:ff9b::/96", "64:ff9b::169.254.169.254", false),
        ("64:ff9b::a00:1", "64:ff9b::10.0.0.1", false),
        ("64:ff9b::/96, 10.0.0.0/8", "64:ff9b::10.0.0.1", true),
        ("::/0", "64:ff9b::127.0.0.1", false),
        ("::/0", "::127.0.0.1", false),
        ("::/96", "::93.184.216.34", true),
        ("::/96", "::10.0.0.1", false),
        (" , fd00::/8 ,\t10.0.0.0/8,", "fd12::1", true),
        (" , fd00::/8 ,\t10.0.0.0/8,", "10.0.0.1", true),
        (" , fd00::/8 ,\t10.0.0.0/8,", "192.168.0.1", false),
    ] {
        for scheme in [Scheme::Http, Scheme::Https] {
            assert_eq!(
                judged(&rules(networks), scheme, ip(address)).is_ok(),
                open,
                "{networks:?} {address}"
            );
        }
    }
}

#[test]
fn allowed_network_of_a_translator_does_not_open_the_server_itself() {
    let own = [ip("93.184.216.34")];
    for (networks, open) in [("64:ff9b::/96", false), ("93.184.216.34", true)] {
        let judged = rules(networks).check(Scheme::Https, socket(ip("64:ff9b::93.184.216.34")), &own);
        assert_eq!(judged.is_ok(), open, "{networks}");
    }
}

#[test]
fn plain_http_to_a_public_address_is_denied_unless_https_is_not_required() {
    let public = ip("93.184.216.34");
    let denied = judged(&rules(""), Scheme::Http, public).unwrap_err();
    assert_eq!(denied.to_string(), "plain http to 93.184.216.34 is not allowed");
    assert!(denied.hint().contains("hooks.require_https"));

    let relaxed = AddressRules::parse("", false).unwrap();
    assert_eq!(judged(&relaxed, Scheme::Http, public), Ok(()));
    assert!(judged(&relaxed, Scheme::Http, ip("127.0.0.1")).is_err());
}

#[test]
fn an_item_that_is_no_network_is_named() {
    for item in [
        "localhost",
        "10.0.0.0/33",
        "10.0.0",
        "::/129",
        "10.0.0.0-10.0.0.9",
        "[::1]",
        "/8",
    ] {
        let message = AddressRules::parse(&format!("127.0.0.1, {item}"), true).unwrap_err();
        assert_eq!(message, format!("\"{item}\" is not a network or address"));
    }
}

#[test]
fn a_denied_network_is_closed_whatever_else_opens_it() {
    for (denied, address) in [
        ("10.1.0.0/16", "10.1.2.3"),
        ("10.1.0.0/16", "::ffff:10.1.2.3"),
        ("10.1.0.0/16", "64:ff9b::10.1.2.3"),
        ("10.1.0.0/16", "::10.1.2.3"),
        ("93.184.216.34", "93.184.216.34"),
        ("93.184.216.34", "64:ff9b::93.184.216.34"),
        ("::ffff:93.184.216.34", "93.184.216.34"),
        ("2606:4700::/32", "2606:4700::1111"),
        ("64:ff9b::/96", "64:ff9b::1.1.1.1"),
    ] {
        let rules = rules("0.0.0.0/0, ::/0").denying(denied).unwrap();
        for scheme in [Scheme::Http, Scheme::Https] {
            let why = judged(&rules, scheme, ip(address)).unwrap_err();
            let expected = format!("address {} is in a denied network", ip(address));
            assert_eq!(why.to_string(), expected);
            assert!(why.hint().contains("hooks.denied_networks"));
        }
        assert_eq!(judged(&rules, Scheme::Http, ip("10.2.0.1")), Ok(()));
    }
    let item = rules("").denying("10.0.0.0/33").unwrap_err();
    assert_eq!(item, "\"10.0.0.0/33\" is not a network or address");
}

#[test]
fn an_address_of_this_server_is_denied_unless_its_network_is_allowed() {
    let own = [ip("93.184.216.34"), ip("2606:4700::1111")];
    for address in [
        "93.184.216.34",
        "::ffff:93.184.216.34",
        "64:ff9b::93.184.216.34",
        "2606:4700::1111",
    ] {
        let check = |rules: &AddressRules| rules.check(Scheme::Https, socket(ip(address)), &own);
        let denied = check(&rules("")).unwrap_err();
        assert_eq!(
            denied.to_string(),
            format!("address {} is one of this server", ip(address))
        );
        assert_eq!(check(&rules("93.184.216.0/24, 2606:4700::/32")), Ok(()));
        assert_eq!(judged(&rules(""), Scheme::Https, ip(address)), Ok(()));
    }
}

#[test]
fn ports_are_those_of_the_web_and_of_users_unless_said_otherwise() {
    let on = |ports: Option<&str>, address: &str, port: u16| {
        let rules = rules("10.0.0.0/8");
        let rules = ports.map_or(rules.clone(), |ports| rules.on_ports(ports).unwrap());
        rules.check(Scheme::Https, SocketAddr::new(ip(address), port), &[])
    };
    for address in ["1.1.1.1", "10.0.0.1"] {
        for (ports, port, open) in [
            (None, 0, false),
            (None, 22, false),
            (None, 25, false),
            (None, 79, false),
            (None, 80, true),
            (None, 81, false),
            (None, 442, false),
            (None, 443, true),
            (None, 444, false),
            (None, 1023, false),
            (None, 1024, true),
            (None, 65535, true),
            (Some("8080-8089, 443"), 443, true),
            (Some("8080-8089, 443"), 80, false),
            (Some("8080-8089, 443"), 8079, false),
            (Some("8080-8089, 443"), 8080, true),
            (Some("8080-8089, 443"), 8089, true),
            (Some("8080-8089, 443"), 8090, false),
            (Some(" 1 - 65535 ,"), 22, true),
        ] {
            let expected = if open { Ok(()) } else { Err(Denied::Port { port }) };
            assert_eq!(on(ports, address, port), expected, "{ports:?} {address} {port}");
        }
    }
    let denied = on(None, "1.1.1.1", 25).unwrap_err();
    assert_eq!(denied.to_string(), "port 25 is not allowed");
    assert!(denied.hint().contains("hooks.allowed_ports"));
}

#[test]
fn a_list_of_ports_names_ports() {
    for item in [
        "http", "0", "65536", "-1", "+80", "80-79", "80-", "1-2-3", "8 0", "0-10", "0x50",
    ] {
        let refused = rules("").on_ports(&format!("80, {item}")).unwrap_err();
        assert_eq!(refused, format!("\"{item}\" is not a port or a range of ports"));
    }
    for empty in ["", " ", ", ,"] {
        assert_eq!(rules("").on_ports(empty).unwrap_err(), "there is no port in it");
    }
}

proptest! {
    #[test]
    fn every_way_to_write_an_ipv4_address_gets_the_same_answer(bits: u32) {
        let bare = Ipv4Addr::from(bits);
        let answer = |ip: IpAddr| judged(&rules(""), Scheme::Https, ip).is_ok();
        let nat64 = Ipv6Addr::from((0x64_ff9b_u128 << 96) | u128::from(bits));
        prop_assert_eq!(answer(bare.to_ipv6_mapped().into()), answer(bare.into()));
        prop_assert_eq!(answer(nat64.into()), answer(bare.into()));
    }

    #[test]
    fn ipv6_outside_of_global_unicast_and_nat64_is_denied(bits: u128) {
        let address = Ipv6Addr::from(bits);
        let reached = judged(&rules(""), Scheme::Https, address.into()).is_ok();
        prop_assert!(!reached || bits >> 125 == 1 || bits >> 32 == 0x0064_ff9b << 64);
    }

    #[test]
    fn an_address_allowed_by_itself_may_always_be_reached(ip: IpAddr) {
        prop_assert_eq!(judged(&rules(&ip.to_string()), Scheme::Http, ip), Ok(()));
    }
}
