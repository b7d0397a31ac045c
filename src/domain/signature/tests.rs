use super::*;
use crate::domain::secret::{Purpose, Secret, make_private};

/// 2021-02-25 15:02:10 UTC, and the rest of a second.
const NOW: Timestamp = Timestamp(1_614_265_330_999_999);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn held(purpose: Purpose, secret: &str, expires_at: Option<Timestamp>) -> Held {
    Held {
        purpose,
        expires_at,
        value: Ok(Secret::new(secret.as_bytes().to_vec())),
    }
}

fn signing(schemes: &[Scheme], held: Vec<Held>) -> Signing {
    Signing::new(schemes, &Secrets::new(held))
}

fn signed(signing: &Signing, body: &[u8]) -> Vec<(String, String)> {
    let headers = signing.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", NOW, body);
    let headers = headers.unwrap().into_iter();
    headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

fn header(signing: &Signing, body: &[u8]) -> (String, String) {
    let mut headers = signed(signing, body);
    assert_eq!(headers.len(), 1);
    headers.remove(0)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The example of the libraries of Standard Webhooks.
#[test]
fn v1_is_that_of_standard_webhooks() {
    let signing = signing(&[Scheme::V1], vec![held(Purpose::Signing, SECRET, None)]);
    assert_eq!(
        header(&signing, br#"{"test": 2432232314}"#),
        pair(
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        )
    );
}

/// The example of GitHub's documentation.
#[test]
fn github_is_that_of_its_documentation_and_postmand_its_bare_hex() {
    let secret = || vec![held(Purpose::Signing, "It's a Secret to Everybody", None)];
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(
        header(&signing(&[Scheme::Github], secret()), b"Hello, World!"),
        pair("x-hub-signature-256", &format!("sha256={hex}"))
    );
    assert_eq!(
        header(&signing(&[Scheme::Postmand], secret()), b"Hello, World!"),
        pair("x-hub-signature", hex)
    );
}

#[test]
fn v1a_verifies_with_the_public_key() {
    let private = make_private(&[7; 32]).unwrap();
    let signing = signing(
        &[Scheme::V1a],
        vec![held(Purpose::SigningEd25519, &private, None)],
    );
    let (_, value) = header(&signing, b"{}");
    let signature = BASE64.decode(value.strip_prefix("v1a,").unwrap()).unwrap();
    let key = crate::domain::secret::private_key(&private).unwrap();
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD as BASE64;
    use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
    let content = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{}";
    public.verify(content, &signature).unwrap();
    assert!(public.verify(b"other", &signature).is_err());
}

#[test]
fn while_an_earlier_secret_counts_both_sign() {
    let later = Some(Timestamp(NOW.0 + 1));
    let new = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let both = || {
        vec![
            held(Purpose::Signing, new, None),
            held(Purpose::Signing, SECRET, later),
        ]
    };
    let one = |secret: &str, scheme| {
        let only = signing(&[scheme], vec![held(Purpose::Signing, secret, None)]);
        header(&only, b"x").1
    };
    let (new_v1, old_v1) = (one(new, Scheme::V1), one(SECRET, Scheme::V1));
    assert_ne!(new_v1, old_v1);
    assert_eq!(
        header(&signing(&[Scheme::V1], both()), b"x").1,
        format!("{new_v1} {old_v1}")
    );
    let (new_stripe, old_stripe) = (one(new, Scheme::Stripe), one(SECRET, Scheme::Stripe));
    let old_part = old_stripe.strip_prefix("t=1614265330").unwrap();
    assert_eq!(
        header(&signing(&[Scheme::Stripe], both()), b"x").1,
        format!("{new_stripe}{old_part}")
    );
    // One signature fits into these, and the receiver may not know the new secret yet.
    for scheme in [Scheme::Github, Scheme::Postmand] {
        assert_eq!(header(&signing(&[scheme], both()), b"x").1, one(SECRET, scheme));
    }
    let ended = vec![
        held(Purpose::Signing, new, None),
        held(Purpose::Signing, SECRET, Some(NOW)),
    ];
    assert_eq!(header(&signing(&[Scheme::V1], ended), b"x").1, new_v1);
}

#[test]
fn several_schemes_sign_one_request() {
    let private = make_private(&[7; 32]).unwrap();
    let schemes = Scheme::ALL.map(|(_, scheme)| scheme);
    let secrets = vec![
        held(Purpose::Signing, SECRET, None),
        held(Purpose::SigningEd25519, &private, None),
    ];
    let headers = signed(&signing(&schemes, secrets), b"x");
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "x-hub-signature-256",
            "x-hub-signature",
            "stripe-signature",
            "webhook-signature"
        ]
    );
    let standard = &headers[3].1;
    assert!(
        standard.starts_with("v1,") && standard.contains(" v1a,"),
        "{standard}"
    );
}

#[test]
fn no_scheme_makes_no_header() {
    assert_eq!(signed(&signing(&[], vec![]), b"x"), []);
}

#[test]
fn what_cannot_be_signed_says_why() {
    let broken = |problem: &str| Held {
        value: Err(problem.to_owned()),
        ..held(Purpose::Signing, "", None)
    };
    let cases = [
        (
            Scheme::V1,
            vec![],
            "secret for signing is missing; dumps hold none: set it with hooks.set_secret()",
        ),
        (
            Scheme::V1,
            vec![held(Purpose::SigningEd25519, SECRET, None)],
            "secret for signing is missing; dumps hold none: set it with hooks.set_secret()",
        ),
        (
            Scheme::V1,
            vec![held(Purpose::Signing, "It's a Secret to Everybody", None)],
            "secret for signing does not begin with whsec_",
        ),
        (
            Scheme::Github,
            vec![broken("its key is not known")],
            "secret for signing cannot be used: its key is not known",
        ),
        (
            Scheme::V1,
            vec![broken("it is damaged"), held(Purpose::Signing, SECRET, None)],
            "secret for signing cannot be used: it is damaged",
        ),
        (
            Scheme::V1,
            vec![held(Purpose::Signing, SECRET, Some(NOW))],
            "secret for signing is missing; dumps hold none: set it with hooks.set_secret()",
        ),
    ];
    for (scheme, secrets, expected) in cases {
        let result = signing(&[scheme], secrets).headers("id", NOW, b"x");
        assert_eq!(result.unwrap_err().detail, expected);
    }
}

#[test]
fn one_scheme_without_secret_stops_all() {
    let signing = signing(
        &[Scheme::V1, Scheme::V1a],
        vec![held(Purpose::Signing, SECRET, None)],
    );
    assert!(signing.headers("id", NOW, b"x").is_err());
}

#[test]
fn debug_output_holds_no_key() {
    let signing = signing(
        &[Scheme::V1, Scheme::Github],
        vec![held(Purpose::Signing, SECRET, None)],
    );
    let shown = format!("{signing:?}");
    assert!(!shown.contains("MfKQ"), "{shown}");
}

#[test]
fn an_earlier_secret_that_cannot_be_used_does_not_stop_what_the_current_one_signs() {
    let later = Some(Timestamp(NOW.0 + 1));
    let unusable = |expires_at| Held {
        purpose: Purpose::Signing,
        expires_at,
        value: Err("it is gone".to_owned()),
    };
    for scheme in [Scheme::V1, Scheme::Github, Scheme::Postmand, Scheme::Stripe] {
        let current = || held(Purpose::Signing, SECRET, None);
        let alone = signing(&[scheme], vec![current()]);
        let both = signing(&[scheme], vec![current(), unusable(later)]);
        assert_eq!(header(&both, b"x"), header(&alone, b"x"));
        assert_eq!(both.problem_at(NOW), None);
        let broken = signing(
            &[scheme],
            vec![unusable(None), held(Purpose::Signing, SECRET, later)],
        );
        let refused = broken.headers("msg", NOW, b"x").unwrap_err();
        assert!(refused.detail.ends_with("it is gone"), "{refused:?}");
        assert_eq!(broken.problem_at(NOW), Some(refused));
    }
}

#[test]
fn every_scheme_has_one_name() {
    for (name, scheme) in Scheme::ALL {
        assert_eq!(Scheme::parse(name), Some(scheme));
        assert_eq!(Scheme::parse(&name.to_uppercase()), None);
    }
    assert!(signing(&[], Vec::new()).is_empty());
    assert!(!signing(&[Scheme::V1], Vec::new()).is_empty());
}
