//! What a receiver does with a request.

use std::time::Duration;

/// What happens once a request has arrived and is logged.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers in good order.
    Answer(Answer),
    /// Waits, then goes on.
    After(Duration, Box<Behaviour>),
    /// Says nothing until [`super::Receiver::release`] is called for the path, then 200.
    Hang,
    /// Writes the head at once and then one byte of the body at a time.
    DripBody(Duration, Answer),
    /// Writes everything, the status line included, one byte at a time.
    DripAll(Duration, Answer),
    /// Answers 200 with this many zero bytes.
    HugeBody(u64),
    /// Writes these bytes, which need not be HTTP, and closes.
    Raw(Vec<u8>),
    /// Closes without a word.
    Close,
    /// Aborts the connection, so that the peer sees a reset.
    Reset,
    /// Holds its answers back until this many requests have arrived at the path.
    Barrier(usize, Answer),
    /// One behaviour for each request, in turn; the last one stays.
    Script(Vec<Behaviour>),
    /// This for one in so many requests, counted from the first, and 200 at once for the others.
    OneIn(usize, Box<Behaviour>),
}

impl Behaviour {
    /// Answers with `status` and no body.
    pub fn status(status: u16) -> Self {
        Answer::new(status).into()
    }

    /// Answers 200 after `delay`.
    pub fn slow(delay: Duration) -> Self {
        Behaviour::After(delay, Box::new(Behaviour::status(200)))
    }

    /// Answers `status` to the first `times` requests, then 200.
    pub fn failing(times: usize, status: u16) -> Self {
        let mut script = vec![Behaviour::status(status); times];
        script.push(Behaviour::status(200));
        Behaviour::Script(script)
    }

    /// Points elsewhere.
    pub fn redirect(status: u16, location: &str) -> Self {
        Answer::new(status).header("location", location).into()
    }

    /// Answers 200 with this many headers.
    pub fn many_headers(count: usize) -> Self {
        let headers = (0..count).map(|number| (format!("x-filler-{number}"), "x".to_owned()));
        Answer {
            headers: headers.collect(),
            ..Answer::new(200)
        }
        .into()
    }

    /// Bytes that are not HTTP.
    pub fn garbage() -> Self {
        Behaviour::Raw(b"\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n".to_vec())
    }

    /// Promises 1,000 bytes, sends 10, and closes.
    pub fn truncated() -> Self {
        Behaviour::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789".to_vec())
    }
}

/// One HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Besides `content-length`, which is always right.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub then: Then,
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    KeepAlive,
    /// Closes, having said `connection: close`.
    Close,
    /// Closes without having said so, as a server does whose idle timeout is shorter than the client's.
    CloseSilently,
}

impl Answer {
    /// No body, no content type, keep-alive.
    pub fn new(status: u16) -> Self {
        Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            then: Then::KeepAlive,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body without a content type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body of `text/plain`.
    #[must_use]
    pub fn text(self, body: &str) -> Self {
        self.header("content-type", "text/plain").body(body)
    }

    /// A body of `application/json`.
    #[must_use]
    pub fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// Says what becomes of the connection.
    #[must_use]
    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// Head and body as they go over the wire. 1xx, 204 and 304 have neither body nor length (RFC 9110).
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !matches!(self.status, 100..=199 | 204 | 304) {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        if self.then == Then::Close {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

impl From<Answer> for Behaviour {
    fn from(answer: Answer) -> Self {
        Behaviour::Answer(answer)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200..=299 => "OK",
        300..=399 => "Elsewhere",
        400..=499 => "Refused",
        _ => "Failed",
    }
}
