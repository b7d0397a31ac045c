//! From checked addresses to a connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::connection::{Connection, Stream};
use super::failure::{Failure, io_detail};
use super::limit::Limit;
use super::socket::{Socket, Sockets};
use super::tls::Tls;
use crate::domain::outcome::Unreachable;

/// For connecting, TLS handshake included.
const CONNECT_BOUND: Duration = Duration::from_secs(10);

/// Opens connections, to the addresses that the resolver let through and to no other.
pub struct Dialer {
    tls: Arc<Tls>,
    sockets: Arc<Sockets>,
}

impl Dialer {
    pub fn new(tls: Arc<Tls>, sockets: Arc<Sockets>) -> Dialer {
        Dialer { tls, sockets }
    }

    /// A socket to the first address that takes one. Each gets an equal share of the time that is left.
    fn connect(&self, addresses: &[SocketAddr], limit: &Limit) -> Result<Socket, Error> {
        let mut last = Failure::Unreachable {
            cause: Unreachable::Connect,
            detail: "no address".to_owned(),
        }
        .into();
        for (index, address) in addresses.iter().enumerate() {
            let shares = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let deadline = Instant::now() + limit.left() / shares;
            match Socket::connect(address, deadline, Arc::clone(&self.sockets)) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = refused(address, &error, limit),
            }
        }
        Err(last)
    }
}

impl Connector for Dialer {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, Error> {
        let limit = Limit::new(details.timeout, CONNECT_BOUND);
        let socket = self.connect(&details.addrs, &limit)?;
        let stream = if details.needs_tls() {
            let host = details.uri.host().unwrap_or_default();
            let host = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
                .unwrap_or(host);
            Stream::Tls(Box::new(self.tls.handshake(socket, host, &limit)?))
        } else {
            Stream::Plain(socket)
        };
        Ok(Some(Connection::new(stream, details.config)))
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

fn refused(address: &SocketAddr, error: &io::Error, limit: &Limit) -> Error {
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
