//! Through an HTTP proxy to an address that was checked.
//!
//! Both https and plain http go through a tunnel (RFC 9110, section 9.3.6), and the proxy is told an
//! address, so that it has no name to look up on its own.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use super::failure::io_detail;
use super::socket::Socket;

/// Longest answer of a proxy.
const MOST_BYTES: usize = 8 * 1024;

/// Why there is no tunnel.
pub enum NoTunnel {
    /// The proxy said no, with this status.
    Refused(u16),
    /// The proxy does not speak HTTP.
    NotHttp,
    Io(io::Error),
}

impl fmt::Display for NoTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoTunnel::Refused(status) => write!(f, "it answered {status}"),
            NoTunnel::NotHttp => f.write_str("its answer is not valid HTTP"),
            NoTunnel::Io(error) => f.write_str(&io_detail(error)),
        }
    }
}

/// Asks the proxy that `socket` is connected to for a tunnel. From then on the socket is one to `target`.
///
/// # Errors
/// See [`NoTunnel`]; by the deadline of the socket.
pub fn open(mut socket: Socket, target: SocketAddr) -> Result<Socket, NoTunnel> {
    // A mapped address is written as the IPv4 one that is meant.
    let canonical: IpAddr = target.ip().to_canonical();
    let authority = SocketAddr::new(canonical, target.port());
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(NoTunnel::Io)?;
    match status(&read_header(&mut socket)?) {
        Some(200..=299) => {}
        Some(status) => return Err(NoTunnel::Refused(status)),
        None => return Err(NoTunnel::NotHttp),
    }
    socket.set_address(target);
    Ok(socket)
}

/// Up to the empty line. It is the end of what came: a receiver does not speak before it is spoken to.
fn read_header(socket: &mut impl Read) -> Result<Vec<u8>, NoTunnel> {
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    loop {
        let amount = socket.read(&mut part).map_err(NoTunnel::Io)?;
        if amount == 0 {
            return Err(NoTunnel::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        answer.extend_from_slice(&part[..amount]);
        if answer.ends_with(b"\r\n\r\n") {
            return Ok(answer);
        }
        // What follows the header of a refusal is not of interest.
        let refusal = status(&answer).is_some_and(|status| !(200..300).contains(&status));
        if answer.windows(4).any(|end| end == b"\r\n\r\n") {
            return if refusal {
                Ok(answer)
            } else {
                Err(NoTunnel::NotHttp)
            };
        }
        if answer.len() > MOST_BYTES {
            return Err(NoTunnel::NotHttp);
        }
    }
}

/// The status of an answer by HTTP/1.
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?.get(1..)?.strip_prefix(b" ")?;
    let (digits, after) = rest.split_at_checked(3)?;
    let ended = after.first().is_some_and(|next| matches!(next, b' ' | b'\r'));
    let status = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    let status = str::from_utf8(status).ok()?.parse().ok()?;
    (ended && status >= 100).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_from_the_first_line() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 200 Connection established\r\n", Some(200)),
            ("HTTP/1.1 407\r\n", Some(407)),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 2x0 OK\r\n", None),
            ("HTTP/1.1 099 OK\r\n", None),
            ("HTTP/1.1  200 OK\r\n", None),
            ("HTTP/1.1 20", None),
            ("HTTP/2 200 OK\r\n", None),
            ("SSH-2.0-x\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(answer.as_bytes()), expected, "{answer:?}");
        }
    }

    #[test]
    fn nothing_may_follow_a_header_that_opens_a_tunnel() {
        let header = |answer: &str| read_header(&mut answer.as_bytes()).is_ok();
        assert!(header("HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"));
        assert!(!header("HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x"));
        assert!(header("HTTP/1.1 403 Forbidden\r\n\r\n<html>"));
        assert!(!header("HTTP/1.1 200 OK\r\n"));
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(2_000));
        assert!(!header(&endless));
    }
}
