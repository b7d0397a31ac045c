//! Bytes on their way to a client: at once, one at a time, or endless zeros.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::behaviour::{Answer, Then};

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
/// After so much, other connections have their turn.
const MOST_AT_ONCE: usize = 4 << 20;

/// What is left to write.
pub struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// Zero bytes after `bytes`.
    zeros: u64,
    pace: Option<Pace>,
    pub then: Then,
}

/// One byte at a time, once `free` bytes are out.
struct Pace {
    free: usize,
    every: Duration,
    next_at: Instant,
}

/// How a round of writing ended.
pub enum Written {
    All,
    /// The socket is full; it will say when it is not.
    Blocked,
    /// Go on at this time.
    Until(Instant),
}

impl Output {
    pub fn answer(answer: &Answer) -> Self {
        Output::raw(answer.bytes(), answer.then)
    }

    pub fn raw(bytes: Vec<u8>, then: Then) -> Self {
        Output {
            bytes,
            written: 0,
            zeros: 0,
            pace: None,
            then,
        }
    }

    pub fn zeros(count: u64) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {count}\r\n\r\n");
        Output {
            zeros: count,
            ..Output::raw(head.into_bytes(), Then::KeepAlive)
        }
    }

    /// The first `free` bytes go at once, then one each `every`.
    pub fn dripping(answer: &Answer, free: usize, every: Duration) -> Self {
        let pace = Pace {
            free,
            every,
            next_at: Instant::now(),
        };
        Output {
            pace: Some(pace),
            ..Output::answer(answer)
        }
    }

    pub fn write(&mut self, stream: &mut TcpStream) -> io::Result<Written> {
        let mut budget = MOST_AT_ONCE;
        loop {
            let (chunk, paused) = self.next_chunk();
            if chunk.is_empty() {
                return Ok(paused.map_or(Written::All, Written::Until));
            }
            match stream.write(chunk) {
                Ok(count) => {
                    self.advance(count);
                    budget = budget.saturating_sub(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Written::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if budget == 0 {
                return Ok(Written::Until(Instant::now()));
            }
        }
    }

    /// What may be written now; empty with a time if that is nothing yet, empty without if all is out.
    fn next_chunk(&self) -> (&[u8], Option<Instant>) {
        let left = &self.bytes[self.written..];
        match &self.pace {
            _ if left.is_empty() => (
                &ZEROS[..ZEROS.len().min(self.zeros.try_into().unwrap_or(usize::MAX))],
                None,
            ),
            Some(pace) if self.written >= pace.free && Instant::now() < pace.next_at => {
                (&[], Some(pace.next_at))
            }
            Some(pace) if self.written >= pace.free => (&left[..1], None),
            Some(pace) => (&left[..pace.free - self.written], None),
            None => (left, None),
        }
    }

    fn advance(&mut self, count: usize) {
        if self.written < self.bytes.len() {
            self.written += count;
        } else {
            self.zeros -= count as u64;
        }
        if let Some(pace) = &mut self.pace {
            pace.next_at = Instant::now() + pace.every;
        }
    }
}
