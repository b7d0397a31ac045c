use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::domain::secret::{Held, Secret};

fn row(parts: Value) -> AuthRow {
    AuthRow::from_json(parts.to_string().as_bytes()).expect("a row")
}

fn held(purpose: Purpose, value: &[u8]) -> Held {
    Held {
        purpose,
        expires_at: None,
        value: Ok(Secret::new(value.to_vec())),
    }
}

/// What a queue with this row and this secret authenticates with.
fn assembled(parts: Value, secret: &str) -> Result<Auth, String> {
    let row = row(parts);
    let purpose = row.purpose().expect("a scheme");
    assemble(&[row], &Secrets::new(vec![held(purpose, secret.as_bytes())]))
}

fn fixed(auth: &Auth) -> (String, String) {
    match &auth.header {
        HeaderAuth::Fixed(header) => (header.name().to_string(), header.value().to_owned()),
        other => panic!("no header of its own: {other:?}"),
    }
}

fn oauth() -> Value {
    json!({
        "scheme": "oauth2",
        "token_url": "https://login.example.com/token",
        "client_id": "client",
        "scope": "orders",
        "audience": "https://api.example.com",
        "client_authentication": "body",
    })
}

fn with(mut row: Value, name: &str, value: Value) -> Value {
    row[name] = value;
    row
}

#[test]
fn rows_with_a_fixed_header_make_it_of_their_secret() {
    for (parts, header, value) in [
        (json!({"scheme": "bearer"}), "authorization", "Bearer s3cr3t"),
        (
            json!({"scheme": "basic", "username": "me"}),
            "authorization",
            "Basic bWU6czNjcjN0",
        ),
        (
            json!({"scheme": "api_key", "header": "X-Api-Key"}),
            "x-api-key",
            "s3cr3t",
        ),
    ] {
        let auth = assembled(parts, "s3cr3t").expect("an authentication");
        assert_eq!(fixed(&auth), (header.to_owned(), value.to_owned()));
        assert!(auth.certificate.is_none());
    }
}

#[test]
fn row_of_oauth_asks_its_endpoint_as_it_says() {
    let auth = assembled(oauth(), "s3cr3t").expect("an authentication");
    let HeaderAuth::Token(credentials) = &auth.header else {
        panic!("no token: {auth:?}")
    };
    let (request, body) = credentials.request();
    assert_eq!(request.uri(), "https://login.example.com/token");
    assert_eq!(
        String::from_utf8(body).expect("text"),
        "grant_type=client_credentials&scope=orders&audience=https%3A%2F%2Fapi.example.com\
         &client_id=client&client_secret=s3cr3t"
    );
    let basic = with(oauth(), "client_authentication", json!("basic"));
    let auth = assembled(basic, "s3cr3t").expect("an authentication");
    let HeaderAuth::Token(credentials) = &auth.header else {
        panic!("no token: {auth:?}")
    };
    assert!(credentials.request().0.headers().contains_key("authorization"));
}

#[test]
fn certificate_goes_beside_a_header() {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["client.test".to_owned()]).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate").pem();
    let rows = [
        row(json!({"scheme": "certificate", "certificate": certificate})),
        row(json!({"scheme": "bearer"})),
    ];
    let secrets = Secrets::new(vec![
        held(Purpose::MtlsKey, key.serialize_pem().as_bytes()),
        held(Purpose::Bearer, b"t0k3n"),
    ]);
    let auth = assemble(&rows, &secrets).expect("an authentication");
    assert_eq!(fixed(&auth).1, "Bearer t0k3n");
    let chain = auth.certificate.clone().expect("a certificate").certified_key();
    assert_eq!(chain.cert.len(), 1);
    assert!(
        format!("{auth:?}").contains("Certificate(chain of 1)"),
        "{auth:?}"
    );
}

#[test]
fn what_is_shown_of_an_authentication_is_masked() {
    for (parts, header) in [
        (json!({"scheme": "bearer"}), "authorization"),
        (json!({"scheme": "api_key", "header": "X-Api-Key"}), "x-api-key"),
        (oauth(), "authorization"),
    ] {
        let auth = assembled(parts, "s3cr3t").expect("an authentication");
        assert_eq!(fixed(&auth.masked()), (header.to_owned(), "***".to_owned()));
    }
    let nothing = Auth::default().masked();
    assert!(matches!(nothing.header, HeaderAuth::None));
}

#[test]
fn rows_that_lack_something_say_what() {
    let api_key = json!({"scheme": "api_key"});
    for (parts, said) in [
        (json!({"scheme": "basic"}), "user name must not be null"),
        (api_key.clone(), "header must not be null"),
        (with(api_key, "header", json!("Host")), "header \"host\""),
        (json!({"scheme": "certificate"}), "certificate must not be null"),
        (
            json!({"scheme": "certificate", "certificate": "abc"}),
            "certificate is not PEM",
        ),
        (
            with(oauth(), "token_url", Value::Null),
            "token_url must not be null",
        ),
        (
            with(oauth(), "token_url", json!("login")),
            "token_url: URL is not absolute",
        ),
        (
            with(oauth(), "client_id", Value::Null),
            "client id must not be null",
        ),
        (
            with(oauth(), "client_authentication", Value::Null),
            "client_authentication must be basic or body",
        ),
        (
            with(oauth(), "client_authentication", json!("Basic")),
            "client_authentication must be basic or body",
        ),
        (with(oauth(), "scope", json!("")), "scope"),
    ] {
        let refused = assembled(parts.clone(), "s3cr3t").expect_err("accepted");
        assert!(refused.starts_with(said), "{parts}: {refused}");
    }
}

#[test]
fn row_that_is_none_and_a_scheme_that_is_unknown_are_refused() {
    for text in [&b""[..], b"{}", b"[]", b"{\"scheme\": 7}", b"\xff"] {
        let refused = AuthRow::from_json(text).expect_err("accepted");
        assert_eq!(refused.to_string(), "authentication of the queue cannot be read");
        assert!(refused.hint.ends_with('.'));
    }
    let unknown = row(json!({"scheme": "digest"}));
    let refused = assemble(&[unknown], &Secrets::default()).expect_err("accepted");
    assert_eq!(refused, "authentication scheme is not known");
}

#[test]
fn one_secret_that_cannot_be_had_is_enough() {
    let bearer = || row(json!({"scheme": "bearer"}));
    let missing = assemble(&[bearer()], &Secrets::default()).expect_err("accepted");
    assert!(missing.starts_with("secret for bearer is missing"), "{missing}");
    let broken = Held {
        value: Err("the key file does not open it".to_owned()),
        ..held(Purpose::Bearer, b"")
    };
    let broken = assemble(&[bearer()], &Secrets::new(vec![broken])).expect_err("accepted");
    assert_eq!(
        broken,
        "secret for bearer cannot be used: the key file does not open it"
    );
    let garbled = Secrets::new(vec![held(Purpose::Bearer, b"\xff")]);
    let garbled = assemble(&[bearer()], &garbled).expect_err("accepted");
    assert_eq!(garbled, "secret of the queue is not text in UTF-8");
    let blank = assemble(&[bearer()], &Secrets::new(vec![held(Purpose::Bearer, b"")]));
    assert!(blank.expect_err("accepted").starts_with("token "));
}
