//! An HTTP connection as ureq uses it.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::failure::{Failure, io_detail};
use super::socket::Socket;
use super::tls::TlsStream;

/// Parts of a request up to this many bytes are sent together, headers and body in one packet.
const HOLD_BYTES: usize = 8 * 1024;

/// The receiver closes an idle connection without knowing of the request on its way. It cannot take
/// longer than a round trip to learn of that; what fails later has failed for another reason.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// What bytes go over.
pub enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

impl Stream {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

/// A connection, used for one request after the other.
pub struct Connection {
    stream: Stream,
    buffers: LazyBuffers,
    /// Written by ureq and not sent yet.
    held: Vec<u8>,
    /// Whether the receiver stopped taking bytes. It may have answered before.
    deaf: bool,
    /// Whether an earlier request was answered on it.
    reused: bool,
    /// Whether anything came in since this request began.
    heard: bool,
    /// When this request began.
    began: Instant,
}

impl Connection {
    pub fn new(stream: Stream, config: &Config) -> Connection {
        Connection {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            held: Vec::new(),
            deaf: false,
            reused: false,
            heard: false,
            began: Instant::now(),
        }
    }

    /// Sends what is held back.
    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let sent = self.stream.write(&self.held);
        self.held.clear();
        self.hear(sent)
    }

    /// A receiver that stops reading may have said why: the answer is looked for in spite of it.
    fn hear(&mut self, sent: io::Result<()>) -> io::Result<()> {
        match sent {
            Err(error) if is_gone(&error) => {
                self.deaf = true;
                Ok(())
            }
            other => other,
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount)
    }

    /// Whether the end of the connection, noticed now, says nothing about this request.
    fn is_stale(&self) -> bool {
        self.reused && !self.heard && self.began.elapsed() < STALE_WITHIN
    }

    fn stale(detail: String) -> Error {
        Failure::Stale { detail }.into()
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.deaf {
            return Ok(());
        }
        let fits = self.held.len() + amount <= HOLD_BYTES;
        if fits {
            self.held.extend_from_slice(&self.buffers.output()[..amount]);
            return Ok(());
        }
        self.stream.socket().set_deadline(Instant::now() + *timeout.after);
        let sent = self.flush().and_then(|()| {
            let sent = self.stream.write(&self.buffers.output()[..amount]);
            self.hear(sent)
        });
        sent.map_err(|error| in_time(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.socket().set_deadline(Instant::now() + *timeout.after);
        if self.buffers.input_append_buf().is_empty() {
            let size = self.buffers.input().len();
            return Err(Error::LargeResponseHeader(size, size));
        }
        match self.flush().and_then(|()| self.fill()) {
            Ok(0) if self.is_stale() => Err(Self::stale("connection closed before an answer".to_owned())),
            Err(error) if is_gone(&error) && self.is_stale() => Err(Self::stale(io_detail(&error))),
            Ok(amount) => {
                self.heard |= amount > 0;
                Ok(amount > 0)
            }
            Err(error) => Err(in_time(error, timeout)),
        }
    }

    /// ureq asks when it lays the connection aside and when it takes it up again: either way the next
    /// thing to happen is a new request.
    fn is_open(&mut self) -> bool {
        self.reused = true;
        self.heard = false;
        self.began = Instant::now();
        !self.deaf && self.held.is_empty() && self.stream.socket().is_quiet()
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Whether the other side ended the connection.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

fn in_time(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}
