use std::time::Duration;

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::*;
use crate::domain::endpoint::Endpoint;

fn message<T>(result: Result<T, InvalidAuth>) -> String {
    match result {
        Ok(_) => panic!("accepted"),
        Err(invalid) => {
            assert!(invalid.hint.ends_with('.'), "{}", invalid.hint);
            invalid.message
        }
    }
}

fn credentials(authentication: ClientAuthentication) -> ClientCredentials {
    ClientCredentials::new(
        Endpoint::parse("https://login.example.com/token?tenant=1").unwrap(),
        "client one",
        "s3cr3t:/+%é",
        Some("orders.write orders.read"),
        Some("https://api.example.com"),
        authentication,
    )
    .unwrap()
}

#[test]
fn bearer_token_is_visible_ascii() {
    let header = AuthHeader::bearer("eyJh.e30.sig-_~+/==").unwrap();
    assert_eq!(header.name(), "authorization");
    assert_eq!(header.value(), "Bearer eyJh.e30.sig-_~+/==");
    for token in [
        "",
        "Bearer abc",
        "abc\n",
        "abc\r\nX-Evil: 1",
        "abc\0",
        "é",
        &"x".repeat(8193),
    ] {
        assert!(
            message(AuthHeader::bearer(token)).starts_with("token "),
            "{token:?}"
        );
    }
}

/// The example of RFC 7617, section 2, and the one in UTF-8 of section 2.1.
#[test]
fn basic_is_encoded_as_in_the_rfc() {
    let header = AuthHeader::basic("Aladdin", "open sesame").unwrap();
    assert_eq!(header.value(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let header = AuthHeader::basic("test", "123\u{a3}").unwrap();
    assert_eq!(header.value(), "Basic dGVzdDoxMjPCow==");
    assert!(AuthHeader::basic("user", "").is_ok());
    assert!(AuthHeader::basic("user", "pass:word").is_ok());
    assert_eq!(
        message(AuthHeader::basic("us:er", "x")),
        "user name contains a colon"
    );
    assert!(message(AuthHeader::basic("", "x")).starts_with("user name must have"));
    assert!(message(AuthHeader::basic("user", "x\n")).starts_with("password contains"));
    assert!(message(AuthHeader::basic("user", &"x".repeat(5000))).starts_with("password is longer"));
}

#[test]
fn key_goes_into_a_header_that_users_may_set() {
    let header = AuthHeader::api_key("X-Api-Key", "k e y").unwrap();
    assert_eq!((header.name().as_str(), header.value()), ("x-api-key", "k e y"));
    for name in [
        "",
        "host",
        "Content-Length",
        "content-type",
        "User-Agent",
        "webhook-id",
        "proxy-authorization",
        "x key",
        "x:key",
        "x\r\ny",
        "transfer-encoding",
        "X-Hub-Signature-256",
    ] {
        message(AuthHeader::api_key(name, "key"));
    }
    for key in ["", " key", "key\n", "key ", "k\r\ney", "k\0ey", "kéy"] {
        message(AuthHeader::api_key("x-api-key", key));
    }
}

#[test]
fn what_a_receiver_repeats_of_a_credential_is_masked() {
    let long = AuthHeader::basic("Aladdin", "open sesame").unwrap();
    let short = AuthHeader::basic("me", "word").unwrap();
    for (header, text, shown) in [
        (
            AuthHeader::bearer("t0k3n==").unwrap(),
            "Bearer t0k3n==, t0k3n",
            "Bearer ***==, ***",
        ),
        (
            AuthHeader::api_key("x-of", "two words").unwrap(),
            "words: two words",
            "words: ***",
        ),
        (
            AuthHeader::api_key("authorization", "Token abcd").unwrap(),
            "Token abcd",
            "Token ***",
        ),
        (long.clone(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic ***=="),
        (
            long,
            "Aladdin:open sesame, Aladdin, open sesame",
            "***, Aladdin, ***",
        ),
        (short, "me:word is a word", "*** is a word"),
    ] {
        let mut masked = text.as_bytes().to_vec();
        header.echo().mask(&mut masked, false);
        assert_eq!(String::from_utf8(masked).unwrap(), shown);
    }
}

#[test]
fn debug_output_and_errors_hold_no_secret() {
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        AuthHeader::bearer("s3cr3t").unwrap(),
        AuthHeader::basic("user", "s3cr3t").unwrap(),
        AuthHeader::api_key("x", "s3cr3t").unwrap(),
        credentials(ClientAuthentication::Body),
    );
    assert!(!shown.contains("s3cr3t") && !shown.contains("tenant"), "{shown}");
    let (request, _) = credentials(ClientAuthentication::Basic).request();
    assert!(format!("{request:?}").contains("Sensitive"), "{request:?}");
}

/// RFC 6749, sections 2.3.1 and 4.4.2.
#[test]
fn token_request_carries_id_and_secret_urlencoded() {
    let (request, body) = credentials(ClientAuthentication::Basic).request();
    assert_eq!(request.method(), http::Method::POST);
    assert_eq!(request.uri(), "https://login.example.com/token?tenant=1");
    assert_eq!(
        request.headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    // base64 of "client+one:s3cr3t%3A%2F%2B%25%C3%A9"
    assert_eq!(
        request.headers()["authorization"],
        "Basic Y2xpZW50K29uZTpzM2NyM3QlM0ElMkYlMkIlMjUlQzMlQTk="
    );
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "grant_type=client_credentials&scope=orders.write+orders.read&audience=https%3A%2F%2Fapi.example.com"
    );

    let (request, body) = credentials(ClientAuthentication::Body).request();
    assert!(!request.headers().contains_key("authorization"));
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "grant_type=client_credentials&scope=orders.write+orders.read&audience=https%3A%2F%2Fapi.example.com\
         &client_id=client+one&client_secret=s3cr3t%3A%2F%2B%25%C3%A9"
    );
}

#[test]
fn client_credentials_that_no_request_can_carry_are_refused() {
    let url = || Endpoint::parse("https://login.example.com/token").unwrap();
    let make = |id: &str, secret: &str, scope: Option<&str>, audience: Option<&str>| {
        ClientCredentials::new(url(), id, secret, scope, audience, ClientAuthentication::Basic)
    };
    assert!(make("id", "secret", None, None).is_ok());
    assert!(make("i:d", "se:cret", Some("a"), Some("b c")).is_ok());
    for (id, secret, scope, audience) in [
        ("", "secret", None, None),
        ("id", "", None, None),
        ("id\n", "secret", None, None),
        ("id", "secret\n", None, None),
        ("id", "secret", Some(""), None),
        ("id", "secret", Some("a  b"), None),
        ("id", "secret", Some(" a"), None),
        ("id", "secret", Some("a\tb"), None),
        ("id", "secret", Some("a\"b"), None),
        ("id", "secret", None, Some("")),
        ("id", "secret", None, Some("a\nb")),
    ] {
        message(make(id, secret, scope, audience));
    }
}

fn read(status: u16, body: &str) -> Result<Grant, String> {
    read_answer(
        &credentials(ClientAuthentication::Basic),
        status,
        body.as_bytes(),
        true,
    )
}

#[test]
fn token_and_its_lifetime_are_read() {
    for (answer, seconds) in [
        (
            json!({"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 300}),
            300,
        ),
        (
            json!({"access_token": "t0k3n", "token_type": "bearer", "expires_in": "300"}),
            300,
        ),
        (json!({"access_token": "t0k3n", "token_type": "BEARER"}), 3600),
        (
            json!({"access_token": "t0k3n", "token_type": null, "expires_in": null}),
            3600,
        ),
        (
            json!({"access_token": "t0k3n", "expires_in": 1e300, "scope": "less"}),
            86_400,
        ),
    ] {
        let grant = read(200, &answer.to_string()).unwrap();
        assert_eq!(grant.header, AuthHeader::bearer("t0k3n").unwrap());
        assert_eq!(grant.lifetime, Duration::from_secs(seconds), "{answer}");
    }
}

#[test]
fn answer_without_a_usable_token_says_why() {
    for (status, body, said) in [
        (200, "", "answer of the token endpoint is not JSON"),
        (200, "[]", "answer of the token endpoint has no access_token"),
        (
            200,
            r#"{"access_token": 7}"#,
            "answer of the token endpoint has no access_token",
        ),
        (
            200,
            r#"{"access_token": "a\r\nb"}"#,
            "token endpoint gave a token that cannot be sent in a header",
        ),
        (
            200,
            r#"{"access_token": "a", "token_type": "DPoP"}"#,
            "token endpoint gave a token that is not a bearer token",
        ),
        (
            200,
            r#"{"access_token": "a", "expires_in": 0}"#,
            "token endpoint gave a token whose expires_in is not a positive number",
        ),
        (
            200,
            r#"{"access_token": "a", "expires_in": "soon"}"#,
            "token endpoint gave a token whose expires_in is not a positive number",
        ),
        (302, "", "token endpoint answered 302"),
        (201, r#"{"access_token": "a"}"#, "token endpoint answered 201"),
        (500, "<html>", "token endpoint answered 500"),
        (
            401,
            r#"{"error": "invalid_client"}"#,
            "token endpoint answered 401: invalid_client",
        ),
        (
            400,
            r#"{"error": "invalid_scope", "error_description": "no\nsuch \u00fcscope"}"#,
            "token endpoint answered 400: invalid_scope (nosuch scope)",
        ),
        (
            400,
            r#"{"error": "x", "error_description": "you sent s3cr3t:/+%é"}"#,
            "token endpoint answered 400",
        ),
        (
            400,
            r#"{"error": "got s3cr3t%3A%2F%2B%25%C3%A9"}"#,
            "token endpoint answered 400",
        ),
        (
            400,
            r#"{"error": "got Basic Y2xpZW50K29uZTpzM2NyM3QlM0ElMkYlMkIlMjUlQzMlQTk="}"#,
            "token endpoint answered 400",
        ),
    ] {
        assert_eq!(read(status, body).unwrap_err(), said, "{body}");
    }
    let cut = read_answer(&credentials(ClientAuthentication::Basic), 200, b"{}", false);
    assert!(cut.unwrap_err().contains("longer than 65536 bytes"));
}

proptest! {
    #[test]
    fn whatever_an_endpoint_answers_is_read_or_refused_in_one_printable_line(status: u16, body in ".{0,300}") {
        if let Err(said) = read(status, &body) {
            prop_assert!(said.len() < 400 && said.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        }
    }

    #[test]
    fn whatever_is_given_no_header_has_a_line_break(text in "\\PC*|[\\x00-\\x7f]*") {
        for made in [
            AuthHeader::bearer(&text),
            AuthHeader::basic(&text, &text),
            AuthHeader::api_key("x-key", &text),
            AuthHeader::api_key(&text, "key"),
        ].into_iter().flatten() {
            prop_assert!(made.value().bytes().all(|byte| matches!(byte, b' '..=b'~')));
        }
    }
}

fn pem() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["client.test".to_owned()]).unwrap();
    (certificate.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn certificate_needs_its_own_key() {
    let (certificate, key) = pem();
    let (issuer, other_key) = pem();
    assert!(Certificate::from_pem(&certificate, &key).is_ok());
    assert!(Certificate::from_pem(&format!("{certificate}{issuer}"), &key).is_ok());
    let mismatch = "private key does not belong to the certificate";
    assert_eq!(message(Certificate::from_pem(&certificate, &other_key)), mismatch);
    let reversed = format!("{issuer}{certificate}");
    assert_eq!(message(Certificate::from_pem(&reversed, &key)), mismatch);
}

#[test]
fn certificate_and_key_that_are_none_are_refused() {
    let (certificate, key) = pem();
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (chain, key, said) in [
        ("", key.as_str(), "certificate is not PEM"),
        ("abc", &key, "certificate is not PEM"),
        (&key, &key, "certificate contains a private key"),
        (
            &format!("{certificate}{key}"),
            &key,
            "certificate contains a private key",
        ),
        (
            &certificate.repeat(11),
            &key,
            "certificate chain is longer than 10",
        ),
        (
            &"x".repeat(70_000),
            &key,
            "certificate is longer than 65536 bytes",
        ),
        (garbled, &key, "certificate is not an X.509 certificate"),
        (&certificate, "", "private key is not PEM"),
        (&certificate, &certificate, "private key is not PEM"),
        (&certificate, encrypted, "private key is encrypted"),
        (
            &certificate,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "private key is of a kind that is not supported",
        ),
    ] {
        assert_eq!(message(Certificate::from_pem(chain, key)), said);
    }
}
