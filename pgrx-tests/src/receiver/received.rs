//! A request as it arrived.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::ledger::Arrival;

/// Longer bodies are known by length and hash only.
const LONGEST_BODY_KEPT: usize = 4 << 20;
const MOST_HEADERS: usize = 256;

/// One request, logged before it was answered.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Path and query, as sent.
    pub target: String,
    /// In the order and spelling in which they came.
    pub headers: Vec<(String, String)>,
    /// Empty when longer than 4 MiB; see `body_length`.
    pub body: Vec<u8>,
    pub body_length: usize,
    pub body_sha256: [u8; 32],
    pub arrived: Arrived,
    /// Connections are counted from 1.
    pub connection: u64,
}

/// When a request was complete.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    pub at: Instant,
    /// Microseconds since 1970, comparable with PostgreSQL's clock.
    pub unix_us: i64,
}

impl Arrived {
    pub(super) fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arrived {
            at: Instant::now(),
            unix_us: since_1970.as_micros().try_into().unwrap_or(i64::MAX),
        }
    }
}

impl Received {
    /// Value of a header, whatever the case of its name; the first if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// `webhook-id`: the same for every attempt of a message.
    pub fn webhook_id(&self) -> Option<&str> {
        self.header("webhook-id")
    }

    /// The message's id, which ends the `webhook-id`.
    pub fn message_id(&self) -> Option<i64> {
        message_id(self.webhook_id()?)
    }

    /// `webhook-attempt`, counted from 1.
    pub fn attempt(&self) -> Option<u32> {
        self.header("webhook-attempt")?.parse().ok()
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is not UTF-8")
    }
}

/// `msg_<key>_<message id>` to the message id.
fn message_id(webhook_id: &str) -> Option<i64> {
    webhook_id.rsplit('_').next()?.parse().ok()
}

/// How far a request has come.
pub(super) enum Progress {
    /// This many bytes are needed before it is worth looking again.
    NeedsBytes(usize),
    /// It is not a request that we understand.
    Malformed,
    /// The head ends at `body_start`, the body at `end`.
    Complete { body_start: usize, end: usize },
}

/// Finds the end of the request at the start of `bytes`. Only bodies of a declared length are understood.
pub(super) fn progress(bytes: &[u8]) -> Progress {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let body_start = match request.parse(bytes) {
        Ok(httparse::Status::Complete(body_start)) => body_start,
        Ok(httparse::Status::Partial) => return Progress::NeedsBytes(bytes.len() + 1),
        Err(_) => return Progress::Malformed,
    };
    let find = |name: &str| {
        request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
    };
    if find("transfer-encoding").is_some() {
        return Progress::Malformed;
    }
    let length = match find("content-length") {
        None => Some(0),
        Some(header) => std::str::from_utf8(header.value)
            .ok()
            .and_then(|value| value.parse::<usize>().ok()),
    };
    match length {
        None => Progress::Malformed,
        Some(length) if bytes.len() < body_start + length => Progress::NeedsBytes(body_start + length),
        Some(length) => Progress::Complete {
            body_start,
            end: body_start + length,
        },
    }
}

/// Path, and what a counting receiver keeps, of a complete request.
pub(super) fn arrival(head: &[u8], arrived: Arrived) -> (String, Arrival) {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let _ = request.parse(head);
    let find = |name: &str| {
        let found = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let target = request.path.unwrap_or_default();
    let arrival = Arrival {
        message_id: find("webhook-id").and_then(message_id).unwrap_or(-1),
        attempt: find("webhook-attempt")
            .and_then(|attempt| attempt.parse().ok())
            .unwrap_or(0),
        unix_us: arrived.unix_us,
    };
    (path_of(target), arrival)
}

fn path_of(target: &str) -> String {
    target.split('?').next().unwrap_or_default().to_owned()
}

/// Takes a complete request apart.
pub(super) fn read(head: &[u8], body: &[u8], arrived: Arrived, connection: u64) -> Received {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let _ = request.parse(head);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let target = request.path.unwrap_or_default();
    Received {
        method: request.method.unwrap_or_default().to_owned(),
        path: path_of(target),
        target: target.to_owned(),
        headers: request
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), text(header.value)))
            .collect(),
        body: if body.len() <= LONGEST_BODY_KEPT {
            body.to_vec()
        } else {
            Vec::new()
        },
        body_length: body.len(),
        body_sha256: Sha256::digest(body).into(),
        arrived,
        connection,
    }
}
