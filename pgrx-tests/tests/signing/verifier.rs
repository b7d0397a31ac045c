//! Signatures as receivers see them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::setup;
use serde_json::json;

/// What a receiver says of a request: `ok`, or what is wrong. `key` is the secret, or the public key for v1a.
#[track_caller]
pub fn verdict(scheme: &str, key: &str, request: &Received) -> String {
    let python = setup::verifiers().unwrap_or_else(|failure| panic!("{failure}"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signing/verify.py");
    let mut check = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("could not start python");
    let question = json!({"scheme": scheme, "key": key, "headers": request.headers, "body": request.body});
    let mut input = check.stdin.take().expect("piped");
    input
        .write_all(question.to_string().as_bytes())
        .expect("python reads");
    drop(input);
    let output = check.wait_with_output().expect("python ends");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Asserts that a receiver takes the request, and refuses it with another body or another key.
#[track_caller]
pub fn assert_verified(scheme: &str, key: &str, other_key: &str, request: &Received) {
    assert_eq!(verdict(scheme, key, request), "ok", "{scheme} {request:?}");
    assert_ne!(
        verdict(scheme, other_key, request),
        "ok",
        "{scheme}: any key fits"
    );
    let mut forged = request.clone();
    forged.body.push(b' ');
    assert_ne!(verdict(scheme, key, &forged), "ok", "{scheme}: any body fits");
}
