//! Lists of networks, as settings hold them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Networks, IPv4 and IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// The networks of a comma-separated list; blanks are ignored.
    ///
    /// # Errors
    /// One line that names the first item that is neither a network nor an address.
    pub fn parse(list: &str) -> Result<Networks, String> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(network).collect::<Result<_, _>>().map(Networks)
    }

    /// Whether one of them holds `ip`, which is no IPv4-mapped address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// A network, or an address as a network of its own. Networks of IPv4-mapped addresses become IPv4, as
/// the addresses do before they are compared; `::/0` therefore does not hold IPv4.
fn network(item: &str) -> Result<IpNet, String> {
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
