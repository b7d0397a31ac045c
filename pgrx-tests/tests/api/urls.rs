//! Where a queue may not send to.

use crate::database::{Database, run, value};
use crate::policies::{assert_policy_refused, database_with_queue};
use crate::refusal::{INVALID, assert_refused, refusal};

const GIVE_URL: &str = "Give an absolute URL such as https://example.com/path.";

#[test]
fn text_that_is_no_endpoint_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    let cases = [
        (
            "not a url",
            "URL contains a space, a control character or a backslash",
            "Percent-encode it, for example a space as %20.",
        ),
        ("", "URL is not absolute", GIVE_URL),
        ("nonsense", "URL is not absolute", GIVE_URL),
        ("/orders", "URL is not absolute", GIVE_URL),
        ("https://", "URL has no host", GIVE_URL),
        ("https:///orders", "URL has no host", GIVE_URL),
        (
            "file:///etc/passwd",
            "URL has a scheme other than http and https",
            GIVE_URL,
        ),
        (
            "ftp://example.com/",
            "URL has a scheme other than http and https",
            GIVE_URL,
        ),
        (
            "https://user:secret@example.com/",
            "URL contains a user name or password",
            "Remove it and set an Authorization header instead.",
        ),
        (
            "https://user@example.com/",
            "URL contains a user name or password",
            "Remove it and set an Authorization header instead.",
        ),
        (
            "https://example.com/#part",
            "URL has a fragment",
            "Remove everything from the # on.",
        ),
        (
            "https://example.com:0/",
            "URL has port 0",
            "Give a port from 1 to 65535, or none.",
        ),
        (
            "https://exa mple.com/",
            "URL contains a space, a control character or a backslash",
            "Percent-encode it, for example a space as %20.",
        ),
    ];
    for (url, message, hint) in cases {
        assert_policy_refused(&mut client, &[("url", &format!("'{url}'"))], message, hint);
    }
}

#[test]
fn endless_url_is_refused() {
    let database = database_with_queue();
    let url = "'https://example.com/' || repeat('x', 2048)";
    let hint = "Move data from the URL into headers or the body.";
    assert_policy_refused(
        &mut database.connect(),
        &[("url", url)],
        "URL is longer than 2048 bytes",
        hint,
    );
}

#[test]
fn secret_in_a_refused_url_is_not_repeated() {
    let database = database_with_queue();
    let mut client = database.connect();
    for url in [
        "https://user:hunter2@example.com/",
        "ftp://example.com/?key=hunter2",
        "https:hunter2",
    ] {
        let refused = refusal(&mut client, &format!("select hooks.create_queue('bad', '{url}')"));
        assert_eq!(refused.code, INVALID);
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
}

#[test]
fn blocked_address_is_refused_in_every_notation() {
    let database = Database::without_networks();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.create_queue('good', 'https://example.com/')",
    );
    let cases = [
        ("127.0.0.1", "127.0.0.1", "loopback"),
        ("10.0.0.1", "10.0.0.1", "private"),
        ("169.254.169.254", "169.254.169.254", "link-local"),
        ("[::1]", "::1", "loopback"),
        ("0x7f.1", "127.0.0.1", "loopback"),
        ("127.1", "127.0.0.1", "loopback"),
        ("0177.0.0.1", "127.0.0.1", "loopback"),
        ("2130706433", "127.0.0.1", "loopback"),
        ("0x7f000001", "127.0.0.1", "loopback"),
        ("167772161", "10.0.0.1", "private"),
        ("2852039166", "169.254.169.254", "link-local"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "0.0.0.0", "unspecified"),
        ("[fe80::1]", "fe80::1", "link-local"),
    ];
    for (host, address, class) in cases {
        for scheme in ["http", "https"] {
            assert_policy_refused(
                &mut client,
                &[("url", &format!("'{scheme}://{host}:8080/'"))],
                &format!("url is not allowed: address {address} is {class}"),
                "An administrator can add its network to hooks.allowed_networks.",
            );
        }
    }
}

#[test]
fn plain_http_to_a_public_address_is_refused_while_https_is_required() {
    let database = Database::without_networks();
    let mut client = database.connect();
    assert_refused(
        &mut client,
        "select hooks.create_queue('plain', 'http://9.9.9.9/')",
        INVALID,
        "url is not allowed: plain http to 9.9.9.9 is not allowed",
        "Use https. An administrator can also add its network to hooks.allowed_networks, or turn \
         hooks.require_https off.",
    );
    run(
        &mut client,
        "select hooks.create_queue('secure', 'https://9.9.9.9/')",
    );
    let names: i64 = value(&mut client, "select count(*) from hooks.queue");
    assert_eq!(names, 1);
}
