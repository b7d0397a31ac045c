//! A TCP socket whose every read and write ends by a deadline.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

use super::descriptors::Permit;
use crate::fault;

/// Timeouts are rounded up to a multiple of this. Every attempt on a connection then usually has the same
/// one, which spares two system calls each.
const GRAIN: Duration = Duration::from_millis(100);

/// What poll says of a connection whose two directions have ended, and of no other.
const ENDED: PollFlags = PollFlags::POLLHUP.union(PollFlags::POLLERR);

/// A connected socket.
pub struct Socket {
    stream: TcpStream,
    address: SocketAddr,
    deadline: Instant,
    read_timeout: Duration,
    write_timeout: Duration,
    /// Given back after the socket is closed.
    _permit: Permit,
}

impl Socket {
    /// Connects to `address` by `deadline`.
    ///
    /// # Errors
    /// Of kind `TimedOut` when the deadline passed, else as of the system.
    pub fn connect(address: &SocketAddr, deadline: Instant, permit: Permit) -> io::Result<Socket> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        fault::io("socket: connect")?;
        let stream = TcpStream::connect_timeout(address, left)?;
        // Requests are written whole, so there is nothing to wait for.
        stream.set_nodelay(true)?;
        let unset = Duration::ZERO;
        Ok(Socket {
            stream,
            address: *address,
            deadline,
            read_timeout: unset,
            write_timeout: unset,
            _permit: permit,
        })
    }

    /// Reads and writes from now on end by `deadline`, or up to [`GRAIN`] later.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// The address that it leads to: the one that was dialled, or the one at the end of a tunnel.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it leads to `address`.
    pub fn set_address(&mut self, address: SocketAddr) {
        self.address = address;
    }

    #[cfg(test)]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Whether another request may be sent: the receiver has sent nothing unasked, above all no end.
    pub fn is_quiet(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.stream.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
    }

    /// Whether bytes that were sent met a connection that the receiver had ended before. Its system says so
    /// after a round trip, for which this waits, `at_most` so long. Only for a connection whose end was read.
    ///
    /// An end and then a reset is how that shows, and Linux turns the reset into a broken pipe. A reset
    /// without an end before it can come at any stage of a request.
    pub fn was_ended_before(&self, at_most: Duration) -> bool {
        let mut ends = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
        let ended = poll(&mut ends, timeout).is_ok_and(|count| count > 0)
            && ends[0].revents().is_some_and(|events| events.intersects(ENDED));
        let error = self.stream.take_error().ok().flatten();
        ended && error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What is left until the deadline, in whole grains. The kernel takes no timeout of zero.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let grains = left.as_nanos().div_ceil(GRAIN.as_nanos());
        Ok(GRAIN.saturating_mul(u32::try_from(grains).unwrap_or(u32::MAX)))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        if left != self.read_timeout {
            self.stream.set_read_timeout(Some(left))?;
            self.read_timeout = left;
        }
        fault::io("socket: read")?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        if left != self.write_timeout {
            self.stream.set_write_timeout(Some(left))?;
            self.write_timeout = left;
        }
        fault::io("socket: write")?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blocking socket says "would block" when its timeout passes.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        io::ErrorKind::TimedOut.into()
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::sync::Arc;

    use super::*;
    use crate::deliver::descriptors::Descriptors;

    const SOON: Duration = Duration::from_secs(20);

    /// A socket over which a request was sent that its peer has not read.
    fn after_request() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let permit = Arc::new(Descriptors::new(1)).permit(|| false).expect("a permit");
        let mut socket = Socket::connect(&address, Instant::now() + SOON, permit).expect("a connection");
        let (peer, _) = listener.accept().expect("a peer");
        socket.write_all(b"request").expect("sent");
        peer.peek(&mut [0]).expect("a request");
        (socket, peer)
    }

    #[test]
    fn end_and_then_a_reset_mean_that_the_request_came_too_late() {
        let (socket, peer) = after_request();
        peer.shutdown(Shutdown::Write).expect("an end");
        drop(peer);
        assert!(socket.was_ended_before(SOON));
    }

    #[test]
    fn reset_alone_says_nothing_of_the_request() {
        let (socket, peer) = after_request();
        drop(peer);
        assert!(!socket.was_ended_before(SOON));
    }

    #[test]
    fn end_alone_says_nothing_of_the_request() {
        let (mut socket, mut peer) = after_request();
        peer.read_exact(&mut [0; 7]).expect("a request");
        drop(peer);
        assert_eq!(socket.read(&mut [0]).expect("an end"), 0);
        assert!(!socket.was_ended_before(Duration::from_millis(50)));
    }
}
