//! An HTTP connection as ureq uses it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::desk::Desk;
use super::failure::{Failure, io_detail};
use super::idle::{Idle, Origin};
use super::stream::Stream;
use super::trace;

/// Parts of a request up to this many bytes are sent together, headers and body in one packet.
const HOLD_BYTES: usize = 8 * 1024;

/// Most bytes of informational answers before the answer.
const MOST_INFORMATIONAL: usize = 16 * 1024;

/// How long to wait for the receiver's system to say that it closed a kept connection before the request
/// came: longer than a round trip.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// A connection as long as one request uses it.
pub struct Connection {
    /// Until it is laid aside.
    stream: Option<Stream>,
    home: (Arc<Idle>, Origin),
    desk: Desk,
    /// Whether the receiver stopped taking bytes, so that it has not got the whole request. It may have
    /// answered before.
    deaf: bool,
    /// Whether an earlier request was answered on it.
    reused: bool,
    /// Whether anything came in.
    heard: bool,
    /// When the request could begin.
    since: Instant,
}

impl Connection {
    /// A connection that was just made.
    pub fn new(stream: Stream, home: (Arc<Idle>, Origin), config: &Config) -> Connection {
        Connection {
            stream: Some(stream),
            home,
            desk: Desk::take(config.input_buffer_size(), config.output_buffer_size()),
            deaf: false,
            reused: false,
            heard: false,
            since: Instant::now(),
        }
    }

    /// A connection that was laid aside.
    pub fn again(stream: Stream, home: (Arc<Idle>, Origin), config: &Config) -> Connection {
        let mut connection = Connection::new(stream, home, config);
        connection.reused = true;
        connection
    }

    fn set_deadline(&mut self, deadline: Instant) {
        if let Some(stream) = &mut self.stream {
            stream.socket().set_deadline(deadline);
        }
    }

    /// Sends what is held back, and then the first `amount` bytes that ureq has written.
    fn send(&mut self, amount: usize) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut sent = Ok(());
        if !self.desk.held.is_empty() {
            sent = stream.write(&self.desk.held);
            self.desk.held.clear();
        }
        if amount > 0 {
            sent = sent.and_then(|()| stream.write(&self.desk.output()[..amount]));
        }
        match sent {
            // A receiver that stops reading may have said why: the answer is looked for in spite of it.
            Err(error) if is_gone(&error) => {
                self.deaf = true;
                Ok(())
            }
            sent => sent,
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let amount = stream.read(self.desk.input_append_buf())?;
        self.desk.input_appended(amount);
        Ok(amount)
    }

    /// Whether the end of the connection, noticed now, says nothing about this request: the connection is
    /// an old one, no byte of an answer came, and the receiver cannot have seen the whole request. `ended`
    /// tells an end from a reset.
    fn is_stale(&mut self, ended: bool, deadline: Instant) -> bool {
        if !self.reused || self.heard {
            return false;
        }
        let at_most = deadline.saturating_duration_since(Instant::now());
        let stream = self.stream.as_mut().filter(|_| ended);
        self.deaf
            || stream.is_some_and(|stream| stream.socket().was_ended_before(at_most.min(REFUSED_WITHIN)))
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.desk
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.deaf {
            return Ok(());
        }
        if self.desk.held.len() + amount <= HOLD_BYTES {
            self.desk.hold(amount);
            return Ok(());
        }
        self.set_deadline(Instant::now() + *timeout.after);
        self.send(amount).map_err(|error| in_time(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let deadline = Instant::now() + *timeout.after;
        self.set_deadline(deadline);
        if self.desk.input_append_buf().is_empty() {
            let size = self.desk.input().len();
            return Err(Error::LargeResponseHeader(size, size));
        }
        // A receiver could go on with them for as long as the timeout is, and keep a processor busy.
        if self.desk.informational() > MOST_INFORMATIONAL {
            return Err(Error::LargeResponseHeader(
                self.desk.informational(),
                MOST_INFORMATIONAL,
            ));
        }
        match self.send(0).and_then(|()| self.receive()) {
            Ok(0) if self.is_stale(true, deadline) => Err(stale(&io::ErrorKind::UnexpectedEof.into())),
            Ok(amount) => {
                if !self.heard && amount > 0 {
                    self.heard = true;
                    trace::note(|trace| trace.first_byte = Some(self.since.elapsed()));
                }
                Ok(amount > 0)
            }
            Err(error) if is_gone(&error) && self.is_stale(is_end(&error), deadline) => Err(stale(&error)),
            Err(error) => Err(in_time(error, timeout)),
        }
    }

    /// ureq asks when an answer was read to its end and allows another request. The connection is laid
    /// aside here, and so ureq has none to keep.
    fn is_open(&mut self) -> bool {
        if let Some(mut stream) = self.stream.take()
            && !self.deaf
            && self.desk.held.is_empty()
            && self.desk.input().is_empty()
            && stream.is_read_up()
        {
            let (idle, origin) = &self.home;
            idle.put(origin.clone(), stream);
        }
        false
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Some(Stream::Tls(_)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.desk.leave();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Whether the other side ended the connection.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    is_end(error) || matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// Whether it did so without a reset. TLS makes an error of that.
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn stale(error: &io::Error) -> Error {
    Failure::Stale {
        detail: io_detail(error),
    }
    .into()
}

fn in_time(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}
