//! A test of a queue: what a session asks of the worker, and what it hears.
//!
//! Both go through shared memory as bytes: a number that says how long the JSON is, the JSON, the rest.

use std::time::Duration;

use serde_json::{Value, json};

use super::outcome::Outcome;

/// Longest question or answer, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// Longest body of a test, in bytes.
pub const MAX_BODY_BYTES: usize = 8 * 1024;
/// Longest part of a response that is given back, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024;
/// Longest text of why there was none, in characters.
const MAX_ERROR_CHARS: usize = 1000;

/// One attempt to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub queue_id: i64,
    /// In place of the queue's own, if that is longer.
    pub timeout: Option<Duration>,
    /// A JSON object of strings.
    pub headers: Value,
    /// UTF-8.
    pub body: Vec<u8>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// An attempt was made.
    Attempted {
        webhook_id: String,
        status: Option<u16>,
        duration: Duration,
        error_class: Option<String>,
        error: Option<String>,
        response: Vec<u8>,
        truncated: bool,
    },
    /// None could be made; why, for people.
    Impossible { message: String, hint: String },
}

impl Question {
    /// The question as bytes; `None` if there are too many.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let timeout = self.timeout.map(micros);
        let json = json!({"queue": self.queue_id, "timeout": timeout, "headers": self.headers});
        encode(&json, &self.body)
    }

    /// The question in these bytes, unless they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Question> {
        let (json, body) = decode(bytes)?;
        Some(Question {
            queue_id: json["queue"].as_i64()?,
            timeout: json["timeout"].as_u64().map(Duration::from_micros),
            headers: json["headers"].clone(),
            body: body.to_vec(),
        })
    }
}

impl Answer {
    /// What came of an attempt.
    #[must_use]
    pub fn of(
        webhook_id: String,
        outcome: &Outcome,
        duration: Duration,
        response: &[u8],
        truncated: bool,
    ) -> Answer {
        let kept = &response[..response.len().min(MAX_RESPONSE_BYTES)];
        Answer::Attempted {
            webhook_id,
            status: outcome.status(),
            duration,
            error_class: outcome.error_class().map(str::to_owned),
            error: outcome.error_text(),
            response: kept.to_vec(),
            truncated: truncated || kept.len() < response.len(),
        }
    }

    /// That there was no attempt.
    #[must_use]
    pub fn impossible(message: impl Into<String>, hint: &str) -> Answer {
        Answer::Impossible {
            message: message.into().chars().take(MAX_ERROR_CHARS).collect(),
            hint: hint.to_owned(),
        }
    }

    /// The answer as bytes; `None` if there are too many.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        match self {
            Answer::Attempted {
                webhook_id,
                status,
                duration,
                error_class,
                error,
                response,
                truncated,
            } => {
                let json = json!({
                    "id": webhook_id, "status": status, "duration": micros(*duration),
                    "class": error_class, "error": error, "truncated": truncated,
                });
                encode(&json, response)
            }
            Answer::Impossible { message, hint } => {
                encode(&json!({"impossible": message, "hint": hint}), &[])
            }
        }
    }

    /// The answer in these bytes, unless they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Answer> {
        let (json, response) = decode(bytes)?;
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        if let Some(message) = text("impossible") {
            let hint = text("hint")?;
            return Some(Answer::Impossible { message, hint });
        }
        Some(Answer::Attempted {
            webhook_id: text("id")?,
            status: json["status"]
                .as_u64()
                .and_then(|status| u16::try_from(status).ok()),
            duration: Duration::from_micros(json["duration"].as_u64()?),
            error_class: text("class"),
            error: text("error"),
            response: response.to_vec(),
            truncated: json["truncated"].as_bool()?,
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn encode(json: &Value, rest: &[u8]) -> Option<Vec<u8>> {
    let json = json.to_string().into_bytes();
    let length = u32::try_from(json.len()).ok()?;
    let bytes = [&length.to_le_bytes(), &json[..], rest].concat();
    (bytes.len() <= MAX_BYTES).then_some(bytes)
}

fn decode(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (json, rest) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(json).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(body: usize) -> Question {
        Question {
            queue_id: -7,
            timeout: Some(Duration::from_millis(1500)),
            headers: json!({"x-a": "é\n"}),
            body: vec![0xff; body],
        }
    }

    #[test]
    fn question_comes_as_it_was_asked() {
        for asked in [
            question(0),
            question(MAX_BODY_BYTES),
            Question {
                timeout: None,
                headers: Value::Null,
                ..question(3)
            },
        ] {
            let bytes = asked.encode().expect("it is short");
            assert_eq!(Question::decode(&bytes), Some(asked));
        }
        assert_eq!(question(MAX_BYTES).encode(), None);
    }

    #[test]
    fn answer_comes_as_it_was_given_but_no_longer_than_there_is_room() {
        let refused = Outcome::Refused {
            status: 503,
            retry_after: None,
        };
        let dns = Outcome::Fault {
            detail: "é".repeat(100_000),
        };
        for outcome in [Outcome::Accepted { status: 200 }, refused, dns] {
            let duration = Duration::from_micros(1234);
            let answer = Answer::of("msg_a_1".to_owned(), &outcome, duration, &[0; 100_000], false);
            let bytes = answer.encode().expect("it is cut");
            assert_eq!(Answer::decode(&bytes), Some(answer.clone()));
            assert!(matches!(answer, Answer::Attempted { truncated: true, .. }));
        }
        let none = Answer::impossible("no such queue", "Commit first.");
        assert_eq!(Answer::decode(&none.encode().expect("it is short")), Some(none));
    }

    #[test]
    fn other_bytes_are_neither() {
        for bytes in [&b""[..], b"abc", &[255; 50], &[1, 0, 0, 0, b'{']] {
            assert_eq!(Question::decode(bytes), None);
            assert_eq!(Answer::decode(bytes), None);
        }
    }
}
