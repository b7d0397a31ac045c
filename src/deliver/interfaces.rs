//! The addresses of this server's own network interfaces.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;

use crate::fault;

/// How long a list is used. An address that the machine is given meanwhile is that of a stranger so long.
const FRESH: Duration = Duration::from_secs(10);

/// Addresses of an interface, of whatever state and kind.
///
/// # Errors
/// As of the system, which needs a descriptor for this.
pub fn own_addresses() -> io::Result<Arc<[IpAddr]>> {
    fault::io("interfaces: list")?;
    let addresses = getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    Ok(addresses.collect())
}

/// The list, asked for anew when it is old.
pub struct Interfaces {
    ask: Box<dyn Fn() -> io::Result<Arc<[IpAddr]>> + Send + Sync>,
    list: Mutex<Option<(Instant, Arc<[IpAddr]>)>>,
}

impl Default for Interfaces {
    /// Asks the system.
    fn default() -> Interfaces {
        Interfaces::new(own_addresses)
    }
}

impl Interfaces {
    pub(super) fn new(ask: impl Fn() -> io::Result<Arc<[IpAddr]>> + Send + Sync + 'static) -> Interfaces {
        Interfaces {
            ask: Box::new(ask),
            list: Mutex::default(),
        }
    }

    /// The addresses, a few seconds old at most unless asking again fails.
    ///
    /// # Errors
    /// They never could be listed.
    pub fn addresses(&self) -> io::Result<Arc<[IpAddr]>> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((since, known)) = &*list
            && now.saturating_duration_since(*since) < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let found = match ((self.ask)(), &*list) {
            (Ok(found), _) => found,
            (Err(_), Some((_, known))) => Arc::clone(known),
            (Err(error), None) => return Err(error),
        };
        Ok(Arc::clone(&list.insert((now, found)).1))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn loopback_is_an_address_of_this_server() {
        let own = own_addresses().expect("a list");
        assert!(own.contains(&IpAddr::from([127, 0, 0, 1])), "{own:?}");
    }

    #[test]
    fn list_is_asked_for_once_in_a_while() {
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        let interfaces = Interfaces::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Arc::new([]))
        });
        for _ in 0..100 {
            interfaces.addresses().expect("a list");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn list_that_cannot_be_had_is_an_error_and_not_empty() {
        let interfaces = Interfaces::new(|| Err(io::ErrorKind::PermissionDenied.into()));
        assert!(interfaces.addresses().is_err());
        assert!(interfaces.addresses().is_err());
    }
}
