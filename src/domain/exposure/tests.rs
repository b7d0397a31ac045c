use http::header::HeaderValue;
use serde_json::{Value, json};

use super::*;

fn user(headers: Value) -> Headers {
    Headers::from_json(&headers).unwrap()
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn names_that_carry_secrets_are_told_from_others() {
    for secret in [
        "authorization",
        "proxy-authorization",
        "x-forwarded-authorization",
        "cookie",
        "set-cookie",
        "webhook-signature",
        "x-hub-signature-256",
        "stripe-signature",
        "x-api-key",
        "apikey",
        "api_key",
        "ocp-apim-subscription-key",
        "x-auth",
        "x-auth-key",
        "x-gitlab-token",
        "x-csrftoken",
        "x-amz-security-token",
        "client-secret",
        "x-sig",
        "x-jwt-assertion",
        "php-auth-pw-password",
        "x-access-token",
        "client_secret",
        "access-key",
        "access_key",
        "key",
        "passwd",
    ] {
        assert!(is_secret(secret), "{secret}");
    }
    for harmless in [
        "content-type",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "idempotency-key",
        "x-ordering-key",
        "author",
        "x-monkey-business",
        "etag",
        "date",
        "x-request-id",
        "traceparent",
        "design",
        "x-keyboard",
    ] {
        assert!(!is_secret(harmless), "{harmless}");
    }
}

#[test]
fn user_header_is_shown_unless_its_name_says_otherwise() {
    let (own, below) = (
        user(json!({"x-tenant": "42", "Authorization": "Bearer s3cret"})),
        user(json!({"x-tenant": "41", "x-region": "eu", "x-api-key": "s3cret"})),
    );
    let mut headers = HeaderMap::new();
    for (name, value) in own.merged_over(&below) {
        let mut value = HeaderValue::from_str(value).unwrap();
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    let shown = request_headers([("host", "example.com")], &headers, &own, &below);
    assert_eq!(
        parsed(&shown),
        json!({"host": "example.com", "x-tenant": "42", "x-region": "eu",
               "authorization": "***", "x-api-key": "***"})
    );
}

#[test]
fn value_that_was_marked_and_is_no_users_is_masked_whatever_its_name() {
    let below = user(json!({"x-mine": "user's"}));
    let mut headers = HeaderMap::new();
    for name in ["x-mine", "x-innocent"] {
        let mut value = HeaderValue::from_static("ours");
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    let shown = request_headers([], &headers, &Headers::default(), &below);
    assert_eq!(parsed(&shown), json!({"x-mine": "***", "x-innocent": "***"}));
}

#[test]
fn answer_is_valid_json_whatever_bytes_it_holds() {
    let mut headers = HeaderMap::new();
    headers.append(
        "x-odd",
        HeaderValue::from_bytes(b"a\"b\\c\td\xff\xc3\xa4").unwrap(),
    );
    headers.append("vary", HeaderValue::from_static("a"));
    headers.append("vary", HeaderValue::from_static("b"));
    headers.append("set-cookie", HeaderValue::from_static("id=1"));
    assert_eq!(
        parsed(&response_headers(&headers, &Echo::default())),
        json!({"x-odd": "a\"b\\c d???", "vary": "a, b", "set-cookie": "***"})
    );
    assert_eq!(response_headers(&HeaderMap::new(), &Echo::default()), "{}");
}

#[test]
fn urls_in_an_answer_are_shown_without_the_values_of_their_queries() {
    for (name, given, shown) in [
        ("location", "/a?token=s3cret&b", "/a?token=***&***"),
        ("location", "/a#access_token=s3cret", "/a#access_token=***"),
        ("content-location", "/a?t=s3>cret#s3cret&", "/a?t=***#***&"),
        ("refresh", "5; url=/a?t=s3cret", "5; url=/a?t=***"),
        (
            "link",
            "</a?page=2&t=s3cret>; rel=next, </b>; rel=last, </c?t=s3cret>; rel=first",
            "</a?page=***&t=***>; rel=next, </b>; rel=last, </c?t=***>; rel=first",
        ),
        ("x-other", "/a?b=c", "/a?b=c"),
    ] {
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_static(given));
        assert_eq!(
            parsed(&response_headers(&headers, &Echo::default())),
            json!({name: shown})
        );
    }
}

#[test]
fn what_is_shown_is_bounded() {
    let mut headers = HeaderMap::new();
    for number in 0..60 {
        let name = HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(&"v".repeat(5000)).unwrap());
    }
    let json = response_headers(&headers, &Echo::default());
    assert!(json.len() < 10_000, "{}", json.len());
    let shown = parsed(&json);
    assert_eq!(shown["x-0"], json!(format!("{}...", "v".repeat(1000))));
    assert_eq!(shown["..."], json!("53 more"));
}

#[test]
fn url_is_shown_without_the_values_of_its_query() {
    for (given, shown) in [
        ("https://example.com/a/b", "https://example.com/a/b"),
        (
            "https://example.com/?token=s3cret&x=1=2",
            "https://example.com/?token=***&x=***",
        ),
        ("https://example.com/?s3cret", "https://example.com/?***"),
        ("https://example.com/?", "https://example.com/?"),
    ] {
        assert_eq!(url(&Endpoint::parse(given).unwrap()), shown);
    }
}
