//! The rules against the registries themselves, read anew by other means than the rules are written in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Scheme, rules, socket};

const REGISTRY: &str = include_str!("special_purpose.csv");

/// Denied although the special-purpose registries say nothing of it, or that it is globally reachable.
const STRICTER: &str = "\
    # The IPv4 and IPv6 multicast registries.
    224.0.0.0/4\n ff00::/8\n
    # Answers from inside every Azure machine.
    168.63.129.16/32\n
    # Anycast addresses for finding a service of one's own network.
    192.0.0.9/32\n 192.0.0.10/32\n
    # Deprecated: IPv4-compatible, and site-local.
    ::/96\n fec0::/10\n
    # Protocol assignments, none of which are for web servers.
    2001::/23\n";

/// A block as bits, the first of them counted from the top.
struct Block {
    v6: bool,
    bits: u128,
    length: u32,
    reachable: bool,
}

/// An address as bits. Those of IPv4 are the upper 32.
fn bits(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(ip) => (false, u128::from(u32::from(ip)) << 96),
        IpAddr::V6(ip) => (true, u128::from(ip)),
    }
}

fn ip(v6: bool, bits: u128) -> IpAddr {
    if v6 {
        Ipv6Addr::from(bits).into()
    } else {
        Ipv4Addr::from((bits >> 96) as u32).into()
    }
}

impl Block {
    fn parse(block: &str, reachable: bool) -> Block {
        let (address, length) = block.split_once('/').expect("a length");
        let (v6, bits) = bits(address.parse().expect("an address"));
        Block {
            v6,
            bits,
            length: length.parse().expect("a number"),
            reachable,
        }
    }

    fn holds(&self, v6: bool, bits: u128) -> bool {
        v6 == self.v6 && (self.length == 0 || (bits ^ self.bits) >> (128 - self.length) == 0)
    }

    /// Its first and its last address.
    fn edges(&self) -> [u128; 2] {
        let rest = u128::MAX.checked_shr(self.length).unwrap_or(0);
        [self.bits, self.bits | rest]
    }

    /// The distance from one address to the next.
    fn step(&self) -> u128 {
        if self.v6 { 1 } else { 1 << 96 }
    }
}

fn registry() -> Vec<Block> {
    let lines = REGISTRY.lines().filter(|line| !line.starts_with('#'));
    let blocks = lines.map(|line| {
        let (block, _) = line.split_once(',').expect("a name");
        Block::parse(block, line.ends_with(",True"))
    });
    blocks.collect()
}

fn stricter() -> Vec<Block> {
    let lines = STRICTER.lines().map(str::trim);
    lines
        .filter(|line| line.contains('/') && !line.starts_with('#'))
        .map(|line| Block::parse(line, false))
        .collect()
}

/// Whether the registries let `ip` be reached from anywhere: the longest block that holds it says so, or there is none.
/// Of IPv6 nothing else than 2000::/3 is assigned. An address that carries another is as good as that one.
fn expected(registry: &[Block], stricter: &[Block], ip: IpAddr) -> bool {
    let (v6, bits) = bits(ip);
    if v6 && bits >> 32 == 0xffff {
        return expected(registry, stricter, self::ip(false, bits << 96));
    }
    if v6 && bits >> 32 == 0x0064_ff9b << 64 {
        return expected(registry, stricter, self::ip(false, bits << 96));
    }
    let longest = registry
        .iter()
        .filter(|block| block.holds(v6, bits))
        .max_by_key(|block| block.length);
    let reachable = longest.map_or(!v6 || bits >> 125 == 1, |block| block.reachable);
    reachable && !stricter.iter().any(|block| block.holds(v6, bits))
}

#[track_caller]
fn assert_as_expected(registry: &[Block], stricter: &[Block], ip: IpAddr) {
    let reached = rules("").check(Scheme::Https, socket(ip), &[]).is_ok();
    assert_eq!(reached, expected(registry, stricter, ip), "{ip}");
}

/// Both sides of both edges of every block, as they are, IPv4-mapped and behind NAT64.
#[test]
fn every_edge_of_every_block_is_where_the_registry_says() {
    let (registry, stricter) = (registry(), stricter());
    assert!(registry.len() > 45 && stricter.len() > 7);
    let mut checked = 0;
    for block in registry.iter().chain(&stricter) {
        for edge in block.edges() {
            for bits in [
                edge.wrapping_sub(block.step()),
                edge,
                edge.wrapping_add(block.step()),
            ] {
                let address = ip(block.v6, bits);
                assert_as_expected(&registry, &stricter, address);
                if let IpAddr::V4(v4) = address {
                    let low = u128::from(u32::from(v4));
                    assert_as_expected(&registry, &stricter, ip(true, (0xffff << 32) | low));
                    assert_as_expected(&registry, &stricter, ip(true, (0x0064_ff9b << 96) | low));
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 300, "{checked}");
}

/// Half of them anywhere, half within or close to a block.
#[test]
fn a_million_addresses_are_judged_as_the_registry_says() {
    let (registry, stricter) = (registry(), stricter());
    let blocks: Vec<&Block> = registry.iter().chain(&stricter).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut wide = || random.u128(..);
    let mut reached = 0;
    for round in 0..1_000_000 {
        let bits = wide();
        let address = match round % 4 {
            0 => ip(false, bits),
            // A third of the space that is assigned.
            1 if bits & 1 == 0 => ip(true, (1 << 125) | (bits >> 3)),
            1 => ip(true, bits),
            _ => {
                let block = blocks[(bits % blocks.len() as u128) as usize];
                // Its length, or one or two bits less, so that neighbours are among them.
                let kept = block.length.saturating_sub((wide() % 3) as u32);
                let rest = u128::MAX.checked_shr(kept).unwrap_or(0);
                ip(block.v6, (block.bits & !rest) | (bits & rest))
            }
        };
        assert_as_expected(&registry, &stricter, address);
        reached += u32::from(expected(&registry, &stricter, address));
    }
    assert!((200_000..800_000).contains(&reached), "{reached}");
}
