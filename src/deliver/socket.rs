//! A TCP socket whose every read and write ends by a deadline, and how many of them there may be.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{MsgFlags, recv};

/// Timeouts are rounded up to a multiple of this. Every attempt on a connection then usually has the same
/// one, which spares two system calls each.
const GRAIN: Duration = Duration::from_millis(100);

/// Descriptors left to Postgres for its own files.
const RESERVE: usize = 256;

/// How many sockets are open, and how many may be.
#[derive(Debug)]
pub struct Sockets {
    open: AtomicUsize,
    most: usize,
    most_kept: usize,
}

impl Sockets {
    /// For `max_threads` attempts at once, as far as the process' limit on descriptors lets them.
    pub fn new(max_threads: usize) -> Sockets {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        Sockets::within(usize::try_from(limit).unwrap_or(usize::MAX), max_threads)
    }

    fn within(limit: usize, max_threads: usize) -> Sockets {
        let most = limit.saturating_sub(RESERVE).max(limit / 2);
        // As many as are busy may be idle, as long as that takes no descriptor from an attempt.
        let most_kept = most.min(max_threads.saturating_mul(2));
        Sockets {
            open: AtomicUsize::new(0),
            most,
            most_kept,
        }
    }

    /// Most sockets at once.
    pub fn most(&self) -> usize {
        self.most
    }
}

/// A connected socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    deadline: Instant,
    read_timeout: Duration,
    write_timeout: Duration,
    sockets: Arc<Sockets>,
}

impl Socket {
    /// Connects to `address` by `deadline`.
    ///
    /// # Errors
    /// Of kind `TimedOut` when the deadline passed, else as of the system.
    pub fn connect(address: &SocketAddr, deadline: Instant, sockets: Arc<Sockets>) -> io::Result<Socket> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let stream = TcpStream::connect_timeout(address, left)?;
        // Requests are written whole, so there is nothing to wait for.
        stream.set_nodelay(true)?;
        sockets.open.fetch_add(1, Ordering::Relaxed);
        let unset = Duration::ZERO;
        Ok(Socket {
            stream,
            deadline,
            read_timeout: unset,
            write_timeout: unset,
            sockets,
        })
    }

    /// Reads and writes from now on end by `deadline`, or up to [`GRAIN`] later.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Whether another request may be sent: the receiver has sent nothing unasked, above all no end, and
    /// there are descriptors to spare.
    pub fn is_quiet(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        self.sockets.open.load(Ordering::Relaxed) <= self.sockets.most_kept
            && recv(self.stream.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
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
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.sockets.open.fetch_sub(1, Ordering::Relaxed);
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
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_leave_descriptors_to_postgres() {
        let budget = |limit, max_threads| {
            let sockets = Sockets::within(limit, max_threads);
            (sockets.most, sockets.most_kept)
        };
        assert_eq!(budget(65_536, 256), (65_280, 512));
        assert_eq!(budget(1_024, 256), (768, 512));
        assert_eq!(budget(1_024, 1_000), (768, 768));
        assert_eq!(budget(100, 256), (50, 50));
    }

    #[test]
    fn connection_is_not_kept_when_descriptors_run_short() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let sockets = Arc::new(Sockets::within(2, 1));
        let deadline = Instant::now() + Duration::from_secs(20);
        let connect = || Socket::connect(&address, deadline, Arc::clone(&sockets)).expect("a connection");
        let first = connect();
        assert!(first.is_quiet());
        let second = connect();
        assert!(!first.is_quiet() && !second.is_quiet());
        drop(second);
        assert!(first.is_quiet());
    }
}
