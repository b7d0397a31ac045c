//! Lists of ports, as settings hold them.

use std::ops::RangeInclusive;

/// Ports that may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    /// Those of http and https, and all that any user may listen on. The others belong to services such
    /// as ssh and smtp, some of which take a request for commands.
    pub fn usual() -> Ports {
        Ports(vec![80..=80, 443..=443, 1024..=u16::MAX])
    }

    /// The ports of a comma-separated list of numbers and ranges; blanks are ignored.
    ///
    /// # Errors
    /// One line that names the first item that is no port, or says that there is none.
    pub fn parse(list: &str) -> Result<Ports, String> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let ports: Vec<_> = items.map(range).collect::<Result<_, _>>()?;
        if ports.is_empty() {
            return Err("there is no port in it".to_owned());
        }
        Ok(Ports(ports))
    }

    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

fn range(item: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let range = port(first).zip(port(last)).map(|(first, last)| first..=last);
    range
        .filter(|range| !range.is_empty())
        .ok_or_else(|| format!("\"{item}\" is not a port or a range of ports"))
}

/// A port from 1, in digits alone.
fn port(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| *port > 0);
    port.filter(|_| digits)
}
