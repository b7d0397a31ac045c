//! What a token endpoint answers.

use std::time::Duration;

use serde_json::Value;

use super::{AuthHeader, ClientCredentials};

/// Longest answer of a token endpoint that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How long a token is used whose endpoint does not say how long it lasts. A receiver that has had enough
/// of it earlier says so with a 401.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Longest time that any token is used.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest description of an error that is shown, in characters.
const SHOWN_CHARS: usize = 200;

/// A token that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The header that carries it.
    pub header: AuthHeader,
    /// How long it can be used, from when it was asked for.
    pub lifetime: Duration,
}

/// The token in an answer of the token endpoint (RFC 6749, section 5.1), `whole` if all of it was read.
///
/// # Errors
/// One line on why there is none, with what the endpoint says of it, unless that repeats the secret.
pub fn read_answer(
    credentials: &ClientCredentials,
    status: u16,
    body: &[u8],
    whole: bool,
) -> Result<Grant, String> {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    if status != 200 {
        let said = answer.and_then(|answer| said(credentials, &answer));
        return Err(match said {
            Some(said) => format!("token endpoint answered {status}: {said}"),
            None => format!("token endpoint answered {status}"),
        });
    }
    if !whole {
        return Err(format!(
            "answer of the token endpoint broke off or is longer than {MAX_ANSWER_BYTES} bytes"
        ));
    }
    let answer = answer.ok_or("answer of the token endpoint is not JSON")?;
    let token = answer.get("access_token").and_then(Value::as_str);
    let token = token.ok_or("answer of the token endpoint has no access_token")?;
    // Some leave it out, though they must not.
    match answer.get("token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err("token endpoint gave a token that is not a bearer token".to_owned()),
    }
    let header = AuthHeader::bearer(token)
        .map_err(|_| "token endpoint gave a token that cannot be sent in a header".to_owned())?;
    Ok(Grant {
        header,
        lifetime: lifetime(answer.get("expires_in"))?,
    })
}

/// Seconds, as a number or, as some write it, a string of digits.
fn lifetime(expires_in: Option<&Value>) -> Result<Duration, String> {
    let seconds = match expires_in {
        None | Some(Value::Null) => return Ok(DEFAULT_LIFETIME),
        Some(Value::Number(seconds)) => seconds.as_f64(),
        Some(Value::String(seconds)) => seconds.parse().ok(),
        Some(_) => None,
    };
    let seconds = seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
    let seconds = seconds.ok_or("token endpoint gave a token whose expires_in is not a positive number")?;
    Ok(Duration::from_secs_f64(seconds.min(MAX_LIFETIME.as_secs_f64())))
}

/// Code and description of an error (RFC 6749, section 5.2), in printable ASCII.
fn said(credentials: &ClientCredentials, answer: &Value) -> Option<String> {
    let part = |name| answer.get(name).and_then(Value::as_str);
    let code = part("error")?;
    let text = match part("error_description") {
        Some(description) => format!("{code} ({description})"),
        None => code.to_owned(),
    };
    if credentials.is_betrayed_by(&text) {
        return None;
    }
    let printable = text.chars().filter(|c| matches!(c, ' '..='~'));
    Some(printable.take(SHOWN_CHARS).collect())
}
