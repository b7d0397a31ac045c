//! Connections that nobody uses right now.
//!
//! All threads share them, and the one that was laid aside last is used first. So there are never more
//! connections to a host than attempts were under way there at once, and those that are not needed grow
//! old and go.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::mem;
use std::net::SocketAddr;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::http::uri::{Authority, Scheme};

use super::stream::Stream;
use crate::domain::auth::Certificate;

/// Receivers close idle connections after 5 s (Node.js, Apache) to minutes. What they close is noticed, so
/// this only bounds how long descriptors and memory are kept, here and there.
const MAX_AGE: Duration = Duration::from_secs(15);

/// How often all are looked at for their age.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What a connection can be used for again: scheme, host and port, which the endpoint has spelt in one way,
/// and the client certificate that was shown. Over one that was made with a certificate, requests of others
/// would come from its holder.
#[derive(Clone)]
pub struct Origin {
    https: bool,
    authority: Option<Authority>,
    certificate: Option<Arc<Certificate>>,
}

impl Origin {
    pub fn of(uri: &Uri, certificate: Option<Arc<Certificate>>) -> Origin {
        Origin {
            https: uri.scheme() == Some(&Scheme::HTTPS),
            authority: uri.authority().cloned(),
            certificate,
        }
    }

    /// One certificate is not another, even if they look the same.
    fn certificate(&self) -> *const Certificate {
        self.certificate.as_ref().map_or(ptr::null(), Arc::as_ptr)
    }

    fn authority(&self) -> &str {
        self.authority.as_ref().map_or("", Authority::as_str)
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Origin) -> bool {
        (self.https, self.authority(), self.certificate())
            == (other.https, other.authority(), other.certificate())
    }
}

impl Eq for Origin {}

/// That of `Authority` takes a call for each byte.
impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.https, self.authority(), self.certificate()).hash(state);
    }
}

/// The idle connections of one configuration.
pub struct Idle {
    rack: Mutex<Rack>,
}

struct Rack {
    /// In the order in which they were laid aside.
    hosts: HashMap<Origin, VecDeque<Kept>>,
    swept_at: Instant,
    /// Whether no more are kept.
    closed: bool,
}

struct Kept {
    stream: Stream,
    since: Instant,
}

impl Kept {
    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > MAX_AGE
    }
}

impl Default for Idle {
    fn default() -> Idle {
        Idle {
            rack: Mutex::new(Rack {
                hosts: HashMap::new(),
                swept_at: Instant::now(),
                closed: false,
            }),
        }
    }
}

impl Idle {
    /// A connection to one of `addresses` that is fit for a request to `origin`. Those that are not are closed.
    pub fn take(&self, origin: &Origin, addresses: &[SocketAddr]) -> Option<Stream> {
        loop {
            let Kept { mut stream, since } = self.rack().hosts.get_mut(origin)?.pop_back()?;
            let socket = stream.socket();
            if since.elapsed() <= MAX_AGE && addresses.contains(&socket.address()) && socket.is_quiet() {
                return Some(stream);
            }
        }
    }

    /// Lays a connection aside.
    pub fn put(&self, origin: Origin, stream: Stream) {
        let now = Instant::now();
        let mut rack = self.rack();
        if rack.closed {
            drop(rack);
            return;
        }
        let kept = Kept { stream, since: now };
        rack.hosts.entry(origin).or_default().push_back(kept);
        let is_due = now.saturating_duration_since(rack.swept_at) >= SWEEP_EVERY;
        drop(rack);
        if is_due {
            self.sweep(now);
        }
    }

    /// Closes all connections to `origin`.
    pub fn forget(&self, origin: &Origin) {
        let closing = self.rack().hosts.remove(origin);
        // To close takes a system call for each, so not under the lock.
        drop(closing);
    }

    /// Closes the one that has been idle for longest. False when there is none.
    pub fn evict(&self) -> bool {
        let mut rack = self.rack();
        let fronts = rack.hosts.iter_mut().filter(|(_, kept)| !kept.is_empty());
        let oldest = fronts.min_by_key(|(_, kept)| kept.front().map(|kept| kept.since));
        let closing = oldest.and_then(|(_, kept)| kept.pop_front());
        drop(rack);
        closing.is_some()
    }

    /// Closes those that are too old at `now`.
    pub fn sweep(&self, now: Instant) {
        let mut rack = self.rack();
        rack.swept_at = now;
        let mut closing = Vec::new();
        rack.hosts.retain(|_, kept| {
            let old = kept.iter().take_while(|kept| kept.is_old(now)).count();
            closing.extend(kept.drain(..old));
            !kept.is_empty()
        });
        drop(rack);
        drop(closing);
    }

    /// Closes all, and keeps none from now on.
    pub fn close(&self) {
        let mut rack = self.rack();
        rack.closed = true;
        let closing = mem::take(&mut rack.hosts);
        drop(rack);
        drop(closing);
    }

    fn rack(&self) -> MutexGuard<'_, Rack> {
        self.rack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
