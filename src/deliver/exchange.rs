//! One message and its answer.

use std::panic::panic_any;
use std::sync::Arc;
use std::time::Instant;

use ureq::http::header::RETRY_AFTER;
use ureq::http::{HeaderMap, StatusCode};
use ureq::{Agent, Body, Error, http};

use super::capture::capture;
use super::send::send;
use super::token_request::{Miss, ask_for_token};
use super::tokens::Tokens;
use super::{Job, Response, failure, trace};
use crate::domain::auth::{Auth, AuthHeader, ClientCredentials, HeaderAuth};
use crate::domain::endpoint::Scheme;
use crate::domain::exposure::Echo;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{AcceptedStatuses, KeepAttempts, Method, Queue};
use crate::domain::time::Timestamp;
use crate::domain::{exposure, request, retry_after};
use crate::fault;

/// What this machine lacks for an attempt; nothing was sent.
pub struct Shortage(pub String);

/// What an exchange is made with.
pub struct Exchange<'a> {
    pub agent: &'a Agent,
    pub tokens: &'a Tokens,
    /// Most bytes kept of an answer's body.
    pub capture_limit: usize,
    pub job: &'a Job,
    /// The time that the request tells.
    pub now: Timestamp,
    /// When the queue's timeout passes.
    pub deadline: Instant,
}

/// An answer, and what it must not be kept to repeat.
type Answer = (http::Response<Body>, Echo);

/// Why there is no answer.
enum Cause {
    /// Found here, before anything was sent.
    Known(Outcome),
    Http(Error),
    Shortage(String),
}

impl Exchange<'_> {
    /// Sends the message and says what came of it.
    ///
    /// Once the header of an answer is in, its status decides, and a body that breaks off or does not end
    /// changes nothing: the receiver has answered.
    ///
    /// # Errors
    /// There is no descriptor for a connection.
    pub fn run(&self) -> Result<(Outcome, Response), Shortage> {
        match self.authenticated() {
            Ok((answer, echo)) => {
                self.show_answer(answer.headers(), &echo);
                let accepted = &self.queue().accepted;
                let (outcome, mut response) = accept(accepted, answer, self.capture_limit, self.time());
                echo.mask(&mut response.body, response.truncated);
                Ok((outcome, response))
            }
            Err(Cause::Known(outcome)) => Ok((outcome, Response::default())),
            Err(Cause::Shortage(detail)) => Err(Shortage(detail)),
            Err(Cause::Http(error)) => match failure::shortage(&error) {
                Some(detail) => Err(Shortage(detail.to_owned())),
                None => Ok((
                    failure::outcome(&error, self.queue().timeout),
                    Response::default(),
                )),
            },
        }
    }

    /// The time now, which is later than the one that the request tells.
    fn time(&self) -> Timestamp {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.now.after(self.queue().timeout.saturating_sub(left))
    }

    fn queue(&self) -> &Queue {
        &self.job.queue
    }

    /// Nothing goes out unless it carries what the queue authenticates with.
    fn authenticated(&self) -> Result<Answer, Cause> {
        let auth = self.queue().auth.as_ref();
        let auth = auth.map_err(|why| unauthenticated(why.clone()))?;
        if auth.certificate.is_some() && self.queue().endpoint.scheme() == Scheme::Http {
            return Err(unauthenticated(
                "client certificate cannot be shown over plain http",
            ));
        }
        match &auth.header {
            HeaderAuth::None => self.send(None),
            HeaderAuth::Fixed(header) => self.send(Some(header)),
            HeaderAuth::Token(credentials) => self.send_with_token(auth, credentials),
        }
    }

    /// A receiver that does not accept a token may have had enough of it, or of the keys that it was signed
    /// with. So a 401 is answered with another token, once, while there is time.
    fn send_with_token(&self, auth: &Auth, credentials: &Arc<ClientCredentials>) -> Result<Answer, Cause> {
        let wallet = self.tokens.wallet(credentials, auth.certificate.as_ref());
        let ask = |deadline| {
            let token = ask_for_token(self.agent, credentials, self.time(), deadline);
            // What is shown of the attempt is of the receiver alone.
            trace::take();
            token
        };
        let token = wallet.token(self.deadline, ask).map_err(|miss| match miss {
            Miss::Refused { detail, .. } => unauthenticated(format!("could not get a token: {detail}")),
            Miss::Shortage(detail) => Cause::Shortage(detail),
        })?;
        let answer = self.send(Some(&token.header))?;
        let status = answer.0.status();
        let rejected = status == StatusCode::UNAUTHORIZED && !self.queue().accepted.contains(status.as_u16());
        if !rejected {
            return Ok(answer);
        }
        match wallet.replacement(&token, self.deadline, ask) {
            Some(token) => self.send(Some(&token.header)),
            None => Ok(answer),
        }
    }

    fn send(&self, auth: Option<&AuthHeader>) -> Result<Answer, Cause> {
        let built = request::build(self.queue(), &self.job.message, self.now);
        let mut request = built.map_err(|unbuildable| Cause::Known(unbuildable.into()))?;
        if let Some(header) = auth {
            header.apply(request.headers_mut());
        }
        if fault::strikes("attempt: panic") {
            // A slice that is cut wrongly quotes what it was cut from.
            let values = request.headers().values().map(http::HeaderValue::as_bytes);
            let quoted: Vec<_> = values.map(String::from_utf8_lossy).collect();
            panic_any(format!(
                "byte index 9 is out of bounds of {} {}",
                request.uri(),
                quoted.join(" ")
            ));
        }
        self.show_request(request.headers());
        let body = self.job.message.body.bytes();
        let answer = send(self.agent, request, body, self.deadline).map_err(Cause::Http)?;
        Ok((answer, auth.map(AuthHeader::echo).unwrap_or_default()))
    }

    /// Notes the headers of the request, with those that ureq adds.
    fn show_request(&self, headers: &HeaderMap) {
        trace::take();
        let (queue, message) = (self.queue(), &self.job.message);
        if queue.keep_attempts == KeepAttempts::None {
            return;
        }
        let length = message.body.bytes().len();
        let says_nothing = length == 0 && matches!(queue.method, Method::Get | Method::Delete);
        let length = (!says_nothing).then(|| length.to_string());
        let host = queue.endpoint.uri().authority().map(http::uri::Authority::as_str);
        let added = [("host", host), ("content-length", length.as_deref())];
        let added = added.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let shown = exposure::request_headers(added, headers, &message.headers, &queue.headers);
        trace::note(|trace| trace.request_headers = Some(shown));
    }

    fn show_answer(&self, headers: &HeaderMap, echo: &Echo) {
        if self.queue().keep_attempts != KeepAttempts::None {
            let shown = exposure::response_headers(headers, echo);
            trace::note(|trace| trace.response_headers = Some(shown));
        }
    }
}

/// What an answer means to a queue that accepts these statuses. Its header came at `now`.
pub fn accept(
    accepted: &AcceptedStatuses,
    answer: http::Response<Body>,
    capture_limit: usize,
    now: Timestamp,
) -> (Outcome, Response) {
    let (header, body) = answer.into_parts();
    let status = header.status.as_u16();
    let outcome = if accepted.contains(status) {
        Outcome::Accepted { status }
    } else {
        let value = header
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        Outcome::Refused {
            status,
            retry_after: value.and_then(|value| retry_after::parse(value, now)),
        }
    };
    let length = body.content_length();
    (outcome, capture(body.into_reader(), length, capture_limit))
}

fn unauthenticated(detail: impl Into<String>) -> Cause {
    Cause::Known(Outcome::Unauthenticated {
        detail: detail.into(),
    })
}
