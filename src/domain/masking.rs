//! What of a request may be shown to people: names of secrets, and not their values.

/// Stands for a value that is not shown.
pub const MASK: &str = "***";

/// Words that the name of a secret has in it.
const SECRET_WORDS: [&str; 12] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "access_key",
];

/// Whether what has this name, a header or a parameter, is likely to be a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
        || matches!(name.as_str(), "key" | "auth" | "x-auth" | "x-key" | "sig" | "pwd")
}

/// A value, unless its name says that it is a secret.
#[must_use]
pub fn masked<'a>(name: &str, value: &'a str) -> &'a str {
    if is_secret(name) { MASK } else { value }
}

/// A URL without the values of parameters that are secrets.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "Authorization",
            "X-Api-Key",
            "cookie",
            "x-access-token",
            "client_secret",
            "key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "webhook-id",
            "webhook-signature",
            "content-type",
            "idempotency-key",
            "x-keyboard",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn url_keeps_everything_but_secrets() {
        for (url, shown) in [
            ("https://a.example/b", "https://a.example/b"),
            (
                "https://a.example/?x=1&token=abc&y",
                "https://a.example/?x=1&token=***&y",
            ),
            ("https://a.example/?API_KEY=a=b", "https://a.example/?API_KEY=***"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }
}
