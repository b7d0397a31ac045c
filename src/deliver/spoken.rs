//! An exchange with a receiver that says what it is told to say, without a network: for tests of what an
//! answer can do.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{self, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Agent, Error};

use super::client::config;
use super::desk::Desk;
use super::exchange::accept;
use super::send::send;
use super::{Response, failure};
use crate::domain::outcome::Outcome;
use crate::domain::queue::AcceptedStatuses;
use crate::domain::time::Timestamp;

/// What comes of a request whose receiver says `answer`, so many bytes at a time, and closes. Of the body
/// `capture_limit` bytes are kept.
#[must_use]
pub fn exchange(answer: &[u8], at_a_time: usize, capture_limit: usize) -> (Outcome, Response) {
    let script = Script {
        answer: answer.into(),
        at_a_time,
    };
    let agent = Agent::with_parts(config(), script, Nowhere);
    let mut request = http::Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = Uri::from_static("http://receiver.example/");
    match send(&agent, request, b"{}", Instant::now() + TIMEOUT) {
        Ok(answer) => accept(&AcceptedStatuses::Successful, answer, capture_limit, NOW),
        Err(error) => (failure::outcome(&error, TIMEOUT), Response::default()),
    }
}

/// Nothing is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

#[derive(Debug)]
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from(([192, 0, 2, 1], 80)));
        Ok(addresses)
    }
}

#[derive(Debug)]
struct Script {
    answer: Arc<[u8]>,
    at_a_time: usize,
}

impl Connector for Script {
    type Out = Spoken;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Spoken>, Error> {
        let config = details.config;
        Ok(Some(Spoken {
            desk: Desk::take(config.input_buffer_size(), config.output_buffer_size()),
            answer: Arc::clone(&self.answer),
            said: 0,
            at_a_time: self.at_a_time,
        }))
    }
}

/// A connection on which everything is taken, and the answer comes.
struct Spoken {
    desk: Desk,
    answer: Arc<[u8]>,
    said: usize,
    at_a_time: usize,
}

impl Transport for Spoken {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.desk
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        if self.desk.input_append_buf().is_empty() {
            let size = self.desk.input().len();
            return Err(Error::LargeResponseHeader(size, size));
        }
        let room = self.desk.input_append_buf();
        let left = &self.answer[self.said..];
        let amount = left.len().min(room.len()).min(self.at_a_time);
        room[..amount].copy_from_slice(&left[..amount]);
        self.said += amount;
        self.desk.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }
}

impl Drop for Spoken {
    fn drop(&mut self) {
        self.desk.leave();
    }
}

impl fmt::Debug for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spoken")
    }
}
