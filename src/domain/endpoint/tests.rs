use proptest::prelude::*;

use super::*;

fn endpoint(raw: &str) -> Endpoint {
    Endpoint::parse(raw).unwrap_or_else(|error| panic!("{raw:?}: {error}"))
}

#[test]
fn what_was_checked_is_what_is_dialled() {
    for (raw, text, scheme, host, port) in [
        (
            "https://example.com",
            "https://example.com/",
            Scheme::Https,
            "example.com",
            443,
        ),
        (
            "HTTPS://EXAMPLE.com:443/A",
            "https://example.com/A",
            Scheme::Https,
            "example.com",
            443,
        ),
        (
            "http://example.com:8080?a=b",
            "http://example.com:8080/?a=b",
            Scheme::Http,
            "example.com",
            8080,
        ),
        (
            "http://example.com:/x",
            "http://example.com/x",
            Scheme::Http,
            "example.com",
            80,
        ),
        (
            "https://a_b.example.com./",
            "https://a_b.example.com./",
            Scheme::Https,
            "a_b.example.com.",
            443,
        ),
        (
            "https://h/a/./b/../c//d",
            "https://h/a/c//d",
            Scheme::Https,
            "h",
            443,
        ),
        (
            "https://h/ä?q=ä|{}`",
            "https://h/%C3%A4?q=%C3%A4|{}`",
            Scheme::Https,
            "h",
            443,
        ),
        (
            "https://h/%2e%2E/a@b?u=c@d://e",
            "https://h/a@b?u=c@d://e",
            Scheme::Https,
            "h",
            443,
        ),
        (
            "https://bücher.example/",
            "https://xn--bcher-kva.example/",
            Scheme::Https,
            "xn--bcher-kva.example",
            443,
        ),
        ("http://[::1]:9/", "http://[::1]:9/", Scheme::Http, "[::1]", 9),
    ] {
        let endpoint = endpoint(raw);
        assert_eq!(endpoint.as_str(), text);
        assert_eq!(
            (endpoint.scheme(), endpoint.host(), endpoint.port()),
            (scheme, host, port),
            "{raw}"
        );
        assert_eq!(endpoint.uri().to_string(), text);
        assert_eq!(endpoint.uri().host(), Some(host));
        assert_eq!(endpoint.uri().port_u16().unwrap_or(scheme.default_port()), port);
    }
}

#[test]
fn an_address_is_recognised_in_every_notation() {
    for (raw, address) in [
        ("http://127.0.0.1/", Some("127.0.0.1")),
        ("http://0x7f.1/", Some("127.0.0.1")),
        ("http://2130706433/", Some("127.0.0.1")),
        ("http://017700000001/", Some("127.0.0.1")),
        ("http://127.1./", Some("127.0.0.1")),
        ("http://%31%32%37.0.0.1/", Some("127.0.0.1")),
        ("http://１２７.0.0.1/", Some("127.0.0.1")),
        ("http://[::ffff:7f00:1]/", Some("::ffff:127.0.0.1")),
        ("http://[fe80::1]/", Some("fe80::1")),
        ("http://localhost/", None),
        ("http://127.0.0.1.example.com/", None),
    ] {
        let expected = address.map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(endpoint(raw).literal_address(), expected, "{raw}");
    }
}

#[test]
fn what_is_no_endpoint_is_refused_with_its_reason() {
    for (raw, message) in [
        ("", "URL is not absolute"),
        ("not-a-url", "URL is not absolute"),
        ("//example.com/", "URL is not absolute"),
        ("example.com:8080/x", "URL has a scheme other than http and https"),
        ("ftp://example.com/", "URL has a scheme other than http and https"),
        ("file:///etc/passwd", "URL has a scheme other than http and https"),
        (
            "javascript:alert(1)",
            "URL has a scheme other than http and https",
        ),
        ("https://", "URL has no host"),
        ("https:///path", "URL has no host"),
        ("https:example.com", "URL has no host"),
        ("https:/example.com/?a=b://c", "URL has no host"),
        ("https://:443/", "URL has no host"),
        ("https://?q", "URL has no host"),
        (
            "https://user@example.com/",
            "URL contains a user name or password",
        ),
        (
            "https://user:pw@example.com/",
            "URL contains a user name or password",
        ),
        ("https://@example.com/", "URL contains a user name or password"),
        (
            "https://a@b@example.com?x",
            "URL contains a user name or password",
        ),
        ("https://example.com/#", "URL has a fragment"),
        ("https://example.com/?a#b", "URL has a fragment"),
        ("https://example.com:0/", "URL has port 0"),
        (
            "https://example.com:65536/",
            "URL is not valid: invalid port number",
        ),
        (
            "https://example.com:0x50/",
            "URL is not valid: invalid port number",
        ),
        ("http://256.1.1.1/", "URL is not valid: invalid IPv4 address"),
        ("http://[::1/", "URL is not valid: invalid IPv6 address"),
        (
            "http://[fe80::1%25eth0]/",
            "URL is not valid: invalid IPv6 address",
        ),
        (
            "https://a<b/",
            "URL is not valid: invalid international domain name",
        ),
        ("https://a..b/", "URL has a host that is not a DNS name"),
        ("https://a'b/", "URL has a host that is not a DNS name"),
        ("https://a,b/", "URL has a host that is not a DNS name"),
        ("https://./", "URL has a host that is not a DNS name"),
    ] {
        let error = Endpoint::parse(raw).expect_err(raw);
        assert_eq!(error.message, message, "{raw}");
        assert!(error.hint.ends_with('.'));
    }
}

/// Texts that have led one parser to one host and another parser to another.
#[test]
fn what_parsers_have_disagreed_about_is_refused_or_has_one_host() {
    for (raw, host) in [
        ("https://good.example\\@evil.example/", None),
        ("https://good.example\\.evil.example/", None),
        ("https://good.example\t.evil.example/", None),
        ("https://good.example:80@evil.example/", None),
        ("https://good.example%40evil.example/", None),
        ("https://good.example%2f@evil.example/", None),
        ("https://good.example%00.evil.example/", None),
        ("https://good.example%09.evil.example/", None),
        ("https://good.example%5c.evil.example/", None),
        ("https://good.example#@evil.example/", None),
        ("https://[::1]evil.example/", None),
        ("https://[::1%25lo]/", None),
        ("https://[good.example]/", None),
        ("https://1.2.3.4.5/", None),
        ("https://good.0x7f/", None),
        ("https://0x100000000/", None),
        ("https://127.0.0.1\u{2025}/", None),
        ("https:good.example@evil.example/", None),
        ("https:////good.example/", None),
        ("https://good.example:443:80/", None),
        ("https://good.example:+443/", None),
        ("https://xn--a.example/", None),
        ("https://good.example?@evil.example/", Some("good.example")),
        ("https://good.example/@evil.example/", Some("good.example")),
        ("https://good.example;evil.example/", None),
        ("https://ex%61mple.com/", Some("example.com")),
        ("https://exam\u{ad}ple.com/", Some("example.com")),
        ("https://example\u{3002}com/", Some("example.com")),
        ("https://ⅇxample.com/", Some("example.com")),
        ("https://①②⑦.0.0.1/", Some("127.0.0.1")),
        ("https://0177.0.0x0.1/", Some("127.0.0.1")),
        ("https://127.1.../", None),
        ("https://аpple.example/", Some("xn--pple-43d.example")),
        ("https://faß.example/", Some("xn--fa-hia.example")),
    ] {
        let parsed = Endpoint::parse(raw);
        let found = parsed.as_ref().ok().map(Endpoint::host);
        assert_eq!(found, host, "{raw}");
    }
}

#[test]
fn blanks_control_characters_and_backslashes_are_refused_wherever_they_are() {
    for c in [
        ' ', '\t', '\n', '\r', '\0', '\x1b', '\x7f', '\u{85}', '\u{a0}', '\u{2028}', '\u{3000}', '\\',
    ] {
        for raw in [
            format!("{c}https://example.com/"),
            format!("https://example.com/{c}"),
            format!("ht{c}tps://example.com/"),
            format!("https://exa{c}mple.com/"),
            format!("https:{c}//example.com/"),
            format!("https://example.com/?a={c}b"),
        ] {
            let error = Endpoint::parse(&raw).expect_err(&raw);
            assert_eq!(
                error.message, "URL contains a space, a control character or a backslash",
                "{raw:?}"
            );
        }
    }
}

#[test]
fn a_url_may_have_2048_bytes_also_once_it_is_encoded() {
    let url = |filler: &str, count: usize| format!("https://h/{}", filler.repeat(count));
    assert_eq!(endpoint(&url("a", 2038)).as_str().len(), 2048);
    for raw in [url("a", 2039), url("ä", 340), url("a/../", 500)] {
        assert_eq!(
            Endpoint::parse(&raw).unwrap_err().message,
            "URL is longer than 2048 bytes"
        );
    }
}

#[test]
fn a_host_name_may_have_253_bytes_and_a_label_63() {
    let label = "a".repeat(63);
    endpoint(&format!("https://{label}.{label}.{label}.{}./", &label[..61]));
    for host in [
        format!("{label}a"),
        format!("{label}.{label}.{label}.{}", &label[..62]),
    ] {
        let error = Endpoint::parse(&format!("https://{host}/")).unwrap_err();
        assert_eq!(error.message, "URL has a host that is not a DNS name");
    }
}

#[test]
fn neither_errors_nor_debug_output_hold_secrets() {
    for raw in [
        "https://user:hunter2@example.com/",
        "hunter2:x@example.com",
        "hunter2://example.com",
        "https://example.com:hunter2/",
        "https://exa<mple.com/?key=hunter2",
        "https://example.com/?key=hunter2#",
        "https://[hunter2]/",
        "https://example.com/?key=hunter2 ",
    ] {
        let error = Endpoint::parse(raw).expect_err(raw);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let endpoint = endpoint("https://example.com/path?key=hunter2");
    assert_eq!(endpoint.display(), "https://example.com:443/path");
    assert_eq!(format!("{endpoint:?}"), "Endpoint(https://example.com:443/path)");
}

/// Texts near the grammar of URLs, so that a good part of them is accepted.
fn near_url() -> impl Strategy<Value = String> {
    "(https?|HTTP|ftp|)(://|:|:/|:///)([a-z0-9.@:%\\[\\]!'{}_ä-]{0,12}|example.com)(:[0-9]{0,5})?([/?#].{0,20})?"
}

proptest! {
    #[test]
    fn whatever_is_accepted_means_the_same_to_the_http_client(raw in near_url()) {
        let Ok(endpoint) = Endpoint::parse(&raw) else { return Ok(()) };
        prop_assert_eq!(endpoint.uri().scheme_str(), Some(endpoint.scheme().as_str()));
        prop_assert_eq!(endpoint.uri().host(), Some(endpoint.host()));
        prop_assert_eq!(endpoint.uri().port_u16().unwrap_or(endpoint.scheme().default_port()), endpoint.port());
        prop_assert_ne!(endpoint.port(), 0);
        prop_assert!(!endpoint.uri().authority().unwrap().as_str().contains('@'));
        prop_assert_eq!(Endpoint::parse(endpoint.as_str()), Ok(endpoint.clone()));
    }

    #[test]
    fn no_text_is_too_strange_to_be_judged(raw in any::<String>()) {
        let _ = Endpoint::parse(&raw);
    }
}

#[test]
fn origin_is_scheme_host_and_port() {
    let of = |url: &str| Endpoint::parse(url).unwrap();
    let origin = of("https://Example.com/a?b=c");
    for (url, same) in [
        ("https://example.com/other", true),
        ("https://example.com:443/", true),
        ("http://example.com:443/", false),
        ("https://example.com:444/", false),
        ("https://www.example.com/", false),
        ("https://example.com./", false),
    ] {
        assert_eq!(of(url).has_origin_of(&origin), same, "{url}");
    }
}

#[test]
fn refusal_reads_as_its_message() {
    let refused = Endpoint::parse("hook").unwrap_err();
    assert_eq!(refused.to_string(), refused.message);
    assert_eq!(refused.message, "URL is not absolute");
}
