//! What an attempt would send, written as it would be and sent to nobody.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Agent, Error};

use super::Job;
use super::client::config;
use super::desk::Desk;
use super::exchange::{Exchange, Shortage};
use super::tokens::Tokens;
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;
use crate::domain::time::Timestamp;

/// A request as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// In the order in which they go.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The request of an attempt that is made `now`. It takes the way of any attempt, up to a connection that
/// keeps what is written and ends before an answer.
///
/// # Errors
/// How an attempt ends for which there is no request.
pub fn preview(job: &Job, now: Timestamp) -> Result<Written, Outcome> {
    let tape = Tape::default();
    let recorder = Recorder { tape: tape.clone() };
    let agent = Agent::with_parts(config(), recorder, Nowhere);
    let ended = Exchange {
        agent: &agent,
        tokens: &Tokens::default(),
        capture_limit: 0,
        job: &without_credentials(job),
        now,
        deadline: Instant::now() + job.queue.timeout,
    }
    .run();
    let tape = tape.written();
    read(&tape).ok_or(match ended {
        Ok((outcome, _)) => outcome,
        Err(Shortage(detail)) => Outcome::Fault { detail },
    })
}

/// What authenticates the request is in its place, and is not shown; nobody is asked for a token.
fn without_credentials(job: &Job) -> Job {
    let queue = Queue {
        auth: job.queue.auth.clone().map(|auth| auth.masked()),
        ..Queue::clone(&job.queue)
    };
    Job {
        queue: Arc::new(queue),
        message: job.message.clone(),
    }
}

/// Takes what was written apart.
fn read(bytes: &[u8]) -> Option<Written> {
    const END: &[u8] = b"\r\n\r\n";
    let end = bytes.windows(END.len()).position(|window| window == END)?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut start = lines.next()?.split(' ');
    Some(Written {
        method: start.next()?.to_owned(),
        target: start.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: bytes[end + END.len()..].to_vec(),
    })
}

/// What was written, and whether to the end.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    fn write(&self, bytes: &[u8]) {
        let mut tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tape.extend_from_slice(bytes);
    }

    fn written(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Gives connections on which everything is kept.
struct Recorder {
    tape: Tape,
}

impl Connector for Recorder {
    type Out = Recording;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Recording>, Error> {
        let config = details.config;
        Ok(Some(Recording {
            tape: self.tape.clone(),
            desk: Desk::take(config.input_buffer_size(), config.output_buffer_size()),
            is_tls: details.needs_tls(),
        }))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

struct Recording {
    tape: Tape,
    desk: Desk,
    is_tls: bool,
}

impl Transport for Recording {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.desk
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.tape.write(&self.desk.output()[..amount]);
        Ok(())
    }

    /// Everything was written: there is no more to learn.
    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        Err(Error::Io(io::ErrorKind::NotConnected.into()))
    }

    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

/// Asks nobody for names.
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(addresses)
    }
}

impl fmt::Debug for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nowhere")
    }
}
