//! From checked addresses to a connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::connection::Connection;
use super::descriptors::{Descriptors, is_shortage};
use super::failure::{Failure, io_detail, shortage};
use super::idle::{Idle, Origin};
use super::limit::Limit;
use super::lookup::Lookups;
use super::resolver::addresses_of;
use super::socket::Socket;
use super::stream::Stream;
use super::tls::Tls;
use super::trace;
use super::tunnel::{self, NoTunnel};
use crate::domain::auth::Certificate;
use crate::domain::outcome::Unreachable;
use crate::domain::proxy::Proxy;

/// For connecting, TLS handshake included.
const CONNECT_BOUND: Duration = Duration::from_secs(10);

/// Gives connections, to the addresses that the resolver let through and to no other: an idle one or a new
/// one. A request that allows no idle age gets a new one, and the idle ones to the same host are closed.
pub struct Dialer {
    /// Shown to servers that ask for one. Connections made with it serve no one else.
    pub certificate: Option<Arc<Certificate>>,
    pub tls: Arc<Tls>,
    pub descriptors: Arc<Descriptors>,
    pub idle: Arc<Idle>,
    pub lookups: Arc<Lookups>,
    /// What to go through, if anything.
    pub proxy: Option<Proxy>,
}

impl Dialer {
    /// A socket to the first address that takes one.
    fn dial(&self, addresses: &[SocketAddr], limit: &Limit) -> Result<Socket, Error> {
        let mut last = Failure::Unreachable {
            cause: Unreachable::Connect,
            detail: "no address".to_owned(),
        }
        .into();
        for (index, address) in addresses.iter().enumerate() {
            let deadline = share(limit.deadline(), addresses.len() - index);
            trace::note(|trace| trace.address = Some(*address));
            let dialled = match &self.proxy {
                Some(proxy) => self.dial_through(proxy, *address, deadline, limit),
                None => self.open(address, deadline).map_err(|error| {
                    if is_shortage(&error) {
                        short(&error)
                    } else {
                        refused(&address.to_string(), &error, limit)
                    }
                }),
            };
            match dialled {
                Err(error) if shortage(&error).is_none() => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    /// A socket to `target` by way of the proxy, which is where the administrator says it is: the rules of
    /// addresses are not asked about it.
    fn dial_through(
        &self,
        proxy: &Proxy,
        target: SocketAddr,
        deadline: Instant,
        limit: &Limit,
    ) -> Result<Socket, Error> {
        let mut last = io::ErrorKind::AddrNotAvailable.into();
        let addresses = addresses_of(&self.lookups, proxy.host(), limit)?;
        for (index, via) in addresses.iter().enumerate() {
            let via = SocketAddr::new(*via, proxy.port());
            match self.open(&via, share(deadline, addresses.len() - index)) {
                Ok(socket) => {
                    return tunnel::open(socket, target).map_err(|why| no_tunnel(target, why, limit));
                }
                Err(error) if is_shortage(&error) => return Err(short(&error)),
                Err(error) => last = error,
            }
        }
        let proxy = format!("proxy {}:{}", proxy.host(), proxy.port());
        Err(refused(&proxy, &last, limit))
    }

    /// A socket to `address`. Closes idle connections if there is no descriptor for it, or else waits for
    /// one, for a moment only: time spent waiting is to be no time of the attempt.
    fn open(&self, address: &SocketAddr, deadline: Instant) -> io::Result<Socket> {
        loop {
            let permit = self.descriptors.permit(|| self.idle.evict());
            let permit = permit.ok_or(Errno::EMFILE)?;
            match Socket::connect(address, deadline, permit) {
                Err(error) if is_shortage(&error) => {
                    if !self.idle.evict() {
                        self.descriptors.pause();
                        return Err(error);
                    }
                }
                other => return other,
            }
        }
    }

    fn handshake(&self, socket: Socket, uri: &Uri, limit: &Limit) -> Result<Stream, Error> {
        let host = uri.host().unwrap_or_default();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let stream = self
            .tls
            .handshake(socket, host, self.certificate.as_ref(), limit)?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

impl Connector for Dialer {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, Error> {
        let limit = Limit::new(details.timeout, CONNECT_BOUND);
        let home = (
            Arc::clone(&self.idle),
            Origin::of(details.uri, self.certificate.clone()),
        );
        if details.config.max_idle_age().is_zero() {
            self.idle.forget(&home.1);
        } else if let Some(mut stream) = self.idle.take(&home.1, &details.addrs) {
            let address = stream.socket().address();
            trace::note(|trace| (trace.address, trace.reused) = (Some(address), Some(true)));
            return Ok(Some(Connection::again(stream, home, details.config)));
        }
        let begun = Instant::now();
        let socket = self.dial(&details.addrs, &limit);
        trace::note(|trace| (trace.connect, trace.reused) = (Some(begun.elapsed()), Some(false)));
        let socket = socket?;
        let stream = if details.needs_tls() {
            let begun = Instant::now();
            let stream = self.handshake(socket, details.uri, &limit);
            trace::note(|trace| trace.tls = Some(begun.elapsed()));
            stream?
        } else {
            Stream::Plain(socket)
        };
        Ok(Some(Connection::new(stream, home, details.config)))
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

/// When the first of so many addresses has had its share: each gets an equal one of the time that is left.
fn share(deadline: Instant, addresses: usize) -> Instant {
    let now = Instant::now();
    let shares = u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / shares
}

fn refused(address: &str, error: &io::Error, limit: &Limit) -> Error {
    if error.kind() == io::ErrorKind::TimedOut && limit.left().is_zero() {
        return limit.ran_out(Unreachable::Connect, &format!("connecting to {address}"));
    }
    let detail = format!("could not connect to {address}: {}", io_detail(error));
    Failure::Unreachable {
        cause: Unreachable::Connect,
        detail,
    }
    .into()
}

fn no_tunnel(target: SocketAddr, why: NoTunnel, limit: &Limit) -> Error {
    if let NoTunnel::Io(error) = &why
        && error.kind() == io::ErrorKind::TimedOut
        && limit.left().is_zero()
    {
        return limit.ran_out(Unreachable::Connect, &format!("asking the proxy for {target}"));
    }
    let detail = format!("could not reach {target} through the proxy: {why}");
    Failure::Unreachable {
        cause: Unreachable::Connect,
        detail,
    }
    .into()
}

fn short(error: &io::Error) -> Error {
    let detail = format!("could not open a socket: {}", io_detail(error));
    Failure::Shortage { detail }.into()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ureq::Timeout;
    use ureq::unversioned::transport::NextTimeout;

    use super::super::tests::busy;
    use super::super::tests::receiver::Receiver;
    use super::*;

    #[test]
    fn proxy_is_reached_when_the_first_of_its_addresses_swallows_connections() {
        let proxy = Receiver::answering("HTTP/1.1 200 Connection established\r\n\r\n");
        let _hole = busy(("127.0.0.2", proxy.port()));
        let addresses: Arc<[IpAddr]> = Arc::new([[127, 0, 0, 2].into(), [127, 0, 0, 1].into()]);
        let dialer = Dialer {
            certificate: None,
            tls: Arc::new(Tls::new(None)),
            descriptors: Arc::new(Descriptors::new(4)),
            idle: Arc::default(),
            lookups: Arc::new(Lookups::new(move |_| Ok(Arc::clone(&addresses)))),
            proxy: Proxy::parse(&format!("http://proxy.test:{}", proxy.port())).expect("a URL"),
        };
        let timeout = NextTimeout {
            after: Duration::from_secs(4).into(),
            reason: Timeout::Global,
            ..NextTimeout::default()
        };
        let target = SocketAddr::from(([127, 0, 0, 1], 9));
        let socket = dialer.dial(&[target], &Limit::new(timeout, CONNECT_BOUND));
        assert!(socket.is_ok(), "{:?}", socket.err());
        assert_eq!(proxy.requests().len(), 1);
    }
}
