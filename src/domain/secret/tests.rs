use super::*;

fn encoded(bytes: usize) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(vec![7; bytes])
}

fn problem(purpose: Purpose, secret: &str) -> String {
    Form::of(purpose, secret.as_bytes()).unwrap_err().problem
}

#[test]
fn debug_output_shows_nothing_of_a_secret() {
    let secret = Secret::new(b"canary".to_vec());
    let held = Held {
        purpose: Purpose::Bearer,
        expires_at: None,
        value: Ok(secret.clone()),
    };
    let shown = format!("{secret:?} {:?}", Secrets::new(vec![held]));
    assert!(
        shown.contains("Secret(..)") && !shown.contains("canary"),
        "{shown}"
    );
    assert!(!shown.contains("99"), "bytes of it: {shown}");
}

#[test]
fn every_purpose_has_one_name() {
    for (name, purpose) in Purpose::ALL {
        assert_eq!(purpose.as_str(), name);
        assert_eq!(Purpose::parse(name), Some(purpose));
    }
    assert_eq!(Purpose::parse("Signing"), None);
}

#[test]
fn symmetric_secret_has_24_to_64_bytes_in_strict_base64() {
    for bytes in [24, 32, 64] {
        let secret = format!("whsec_{}", encoded(bytes));
        assert_eq!(
            Form::of(Purpose::Signing, secret.as_bytes()),
            Ok(Form::Symmetric),
            "{bytes}"
        );
    }
    for bytes in [0, 23, 65] {
        let secret = format!("whsec_{}", encoded(bytes));
        let expected = format!("has {bytes} bytes behind whsec_, not 24 to 64");
        assert_eq!(problem(Purpose::Signing, &secret), expected);
    }
    let good = encoded(32);
    for bad in [
        format!("whsec_{}", good.trim_end_matches('=')),
        format!("whsec_ {good}"),
        format!("whsec_{good}\n"),
        format!("whsec_{good} "),
        format!("whsec_{}\0{}", &good[..4], &good[4..]),
        format!("whsec_{}", good.replace('B', "-")),
        // The last character before the padding holds bits that must be zero.
        format!("whsec_{}9=", &good[..42]),
    ] {
        assert_eq!(
            problem(Purpose::Signing, &bad),
            "has no valid base64 behind whsec_",
            "{bad:?}"
        );
    }
}

#[test]
fn plain_secret_is_one_line_of_16_to_1024_bytes() {
    for good in ["It's a Secret to Everybody", &"x".repeat(16), &"x".repeat(1024)] {
        assert_eq!(Form::of(Purpose::Signing, good.as_bytes()), Ok(Form::Plain));
    }
    for (bad, expected) in [
        ("", "is empty"),
        ("short secret", "is shorter than 16 bytes"),
        (
            "sixteen bytes are here\n",
            "contains a line end or another control character",
        ),
        (
            "sixteen bytes\0are here",
            "contains a line end or another control character",
        ),
        (" sixteen bytes are here", "begins or ends with a blank"),
        (&"x".repeat(1025), "is longer than 1024 bytes"),
        ("whsk_abc", "is a key of ed25519"),
        ("whpk_abc", "is a key of ed25519"),
    ] {
        assert_eq!(problem(Purpose::Signing, bad), expected);
    }
    assert!(Form::of(Purpose::Signing, &[0xff; 32]).is_err());
}

/// The key pair is that of RFC 8032, section 7.1, test 1.
#[test]
fn private_key_is_a_seed_alone_or_with_its_public_key() {
    let seed: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
        0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    let public_key = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned();
    let made = make_private(&seed).unwrap();
    assert_eq!(
        Form::of(Purpose::SigningEd25519, made.as_bytes()),
        Ok(Form::Private {
            public_key: public_key.clone()
        })
    );
    let alone = format!("whsk_{}", {
        use base64::Engine;
        base64::prelude::BASE64_STANDARD.encode(seed)
    });
    assert_eq!(
        Form::of(Purpose::SigningEd25519, alone.as_bytes()),
        Ok(Form::Private { public_key })
    );
}

#[test]
fn private_key_of_another_public_key_is_refused() {
    for bad in [
        format!("whsk_{}", encoded(64)),
        format!("whsk_{}", encoded(31)),
        format!("whsk_{}", encoded(63)),
    ] {
        assert_eq!(
            problem(Purpose::SigningEd25519, &bad),
            "is not an ed25519 key of 32 bytes, or 64 with its public key"
        );
    }
    assert_eq!(
        problem(Purpose::SigningEd25519, &make_symmetric(&[1; 32])),
        "does not begin with whsk_"
    );
}

#[test]
fn what_goes_into_a_header_cannot_break_it() {
    for purpose in [
        Purpose::Bearer,
        Purpose::ApiKey,
        Purpose::Basic,
        Purpose::OauthClientSecret,
    ] {
        assert_eq!(Form::of(purpose, b"token"), Ok(Form::Plain));
        for bad in ["a\r\nb", "a\0b", " a", "a ", &"x".repeat(4097)] {
            assert!(Form::of(purpose, bad.as_bytes()).is_err(), "{purpose:?} {bad:?}");
        }
    }
    assert!(Form::of(Purpose::Bearer, b"Bearer token").is_err());
}

#[test]
fn a_missing_and_an_unusable_secret_are_told_apart() {
    let secrets = Secrets::new(vec![Held {
        purpose: Purpose::Bearer,
        expires_at: None,
        value: Err("it cannot be decrypted".to_owned()),
    }]);
    assert!(secrets.has_unusable());
    let detail = |purpose| secrets.current(purpose).unwrap_err().detail;
    assert_eq!(
        detail(Purpose::Bearer),
        "secret for bearer cannot be used: it cannot be decrypted"
    );
    assert!(detail(Purpose::Basic).starts_with("secret for basic is missing"));
}

#[test]
fn a_secret_in_its_grace_is_not_the_current_one() {
    let held = |expires_at| Held {
        purpose: Purpose::Bearer,
        expires_at,
        value: Ok(Secret::new(vec![1])),
    };
    let old = Secrets::new(vec![held(Some(Timestamp(5)))]);
    assert!(old.current(Purpose::Bearer).is_err());
    assert!(held(Some(Timestamp(5))).is_valid_at(Timestamp(4)));
    assert!(!held(Some(Timestamp(5))).is_valid_at(Timestamp(5)));
    assert!(held(None).is_valid_at(Timestamp::MAX));
}

#[test]
fn private_key_of_a_certificate_is_pem() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n";
    assert_eq!(Form::of(Purpose::MtlsKey, pem.as_bytes()), Ok(Form::Plain));
    for bad in [
        "MC4=",
        "-----BEGIN CERTIFICATE-----\nMC4=\n",
        "PRIVATE KEY-----",
        &format!("{pem}\0"),
    ] {
        assert_eq!(
            problem(Purpose::MtlsKey, bad),
            "is not a private key in PEM",
            "{bad:?}"
        );
    }
    let long = format!("{pem}{}", "x".repeat(70_000));
    assert!(problem(Purpose::MtlsKey, &long).starts_with("is longer than "));
}

#[test]
fn form_tells_what_kind_of_secret_it_is_and_errors_say_what_is_wrong() {
    let private = make_private(&[7; 32]).unwrap();
    let private = Form::of(Purpose::SigningEd25519, private.as_bytes()).unwrap();
    let symmetric = Form::of(Purpose::Signing, make_symmetric(&[7; 32]).as_bytes()).unwrap();
    let plain = Form::of(Purpose::Bearer, b"t0k3n").unwrap();
    assert_eq!(
        [symmetric, private, plain].map(|form| form.as_str()),
        ["whsec", "whsk", "plain"]
    );
    let refused = Form::of(Purpose::Bearer, b"a b").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "secret contains a space or a non-ASCII character"
    );
}

#[test]
fn purposes_are_listed_for_a_hint() {
    let names = Purpose::names();
    assert!(
        names.starts_with("signing, signing_ed25519, ") && names.ends_with(", mtls_key"),
        "{names}"
    );
    assert!(
        Purpose::ALL
            .iter()
            .all(|(name, _)| names.split(", ").any(|listed| listed == *name))
    );
}

#[test]
fn secrets_that_are_missing_or_cannot_be_used_are_outcomes_of_their_own() {
    assert!(Secrets::default().is_empty() && !Secrets::default().has_unusable());
    let broken = Held {
        purpose: Purpose::Bearer,
        expires_at: None,
        value: Err("it is damaged".to_owned()),
    };
    let secrets = Secrets::new(vec![broken]);
    assert!(!secrets.is_empty() && secrets.has_unusable());
    let outcome = Outcome::from(secrets.current(Purpose::Bearer).unwrap_err());
    let detail = "secret for bearer cannot be used: it is damaged".to_owned();
    assert_eq!(outcome, Outcome::NoSecret { detail });
    let outcome = Outcome::from(secrets.current(Purpose::Basic).unwrap_err());
    assert!(
        outcome
            .error_text()
            .unwrap()
            .starts_with("secret for basic is missing")
    );
}

#[test]
fn secret_counts_until_it_expires() {
    let mut held = Held {
        purpose: Purpose::Signing,
        expires_at: Some(Timestamp(10)),
        value: Ok(Secret::new(b"old".to_vec())),
    };
    assert!(held.is_valid_at(Timestamp(9)) && !held.is_valid_at(Timestamp(10)));
    // One that expires is not the current one, even before that.
    assert!(
        Secrets::new(vec![held.clone()])
            .current(Purpose::Signing)
            .is_err()
    );
    held.expires_at = None;
    assert!(held.is_valid_at(Timestamp(i64::MAX)));
    assert!(Secrets::new(vec![held]).current(Purpose::Signing).is_ok());
}
