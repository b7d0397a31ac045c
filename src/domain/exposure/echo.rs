//! The credential of a request, where its answer repeats it.

use super::MASK;

/// Fewer bytes are no credential, and stand in answers by chance.
const SHORTEST: usize = 4;

/// What a receiver could repeat of a request that must not be kept. By default, nothing.
#[derive(Default)]
pub struct Echo {
    secrets: Vec<Vec<u8>>,
}

impl Echo {
    /// These secrets, as they are and as they stand in JSON; those of fewer than 4 bytes are left out.
    #[must_use]
    pub fn of(secrets: &[&[u8]]) -> Echo {
        let mut forms: Vec<Vec<u8>> = secrets
            .iter()
            .filter(|secret| secret.len() >= SHORTEST)
            .flat_map(|secret| {
                let escaped = escaped(secret, br#"""#);
                [secret.to_vec(), escaped, self::escaped(secret, br#""/"#)]
            })
            .collect();
        // Of two that begin alike the longer one is what was repeated.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Echo { secrets: forms }
    }

    /// Puts a mask in the place of each secret. A text that was cut off may end with the beginning of one, which
    /// is masked if it has 4 bytes.
    pub fn mask(&self, text: &mut Vec<u8>, is_cut: bool) {
        if self.secrets.is_empty() {
            return;
        }
        let mut shown = Vec::with_capacity(text.len());
        let mut rest = text.as_slice();
        while let Some((&first, after)) = rest.split_first() {
            let found = self.secrets.iter().find(|secret| {
                rest.starts_with(secret) || is_cut && rest.len() >= SHORTEST && secret.starts_with(rest)
            });
            match found {
                Some(secret) => {
                    shown.extend_from_slice(MASK.as_bytes());
                    rest = rest.get(secret.len()..).unwrap_or_default();
                }
                None => {
                    shown.push(first);
                    rest = after;
                }
            }
        }
        *text = shown;
    }
}

/// With a backslash before these bytes and before backslashes, as in a string of JSON.
fn escaped(secret: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(secret.len());
    for byte in secret {
        if *byte == b'\\' || bytes.contains(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], text: &str, is_cut: bool) -> String {
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.as_bytes()).collect();
        let mut text = text.as_bytes().to_vec();
        Echo::of(&secrets).mask(&mut text, is_cut);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for (text, shown) in [
            ("", ""),
            ("s3cr3t/+", "***"),
            ("Bearer s3cr3t/+s3cr3t/+!", "Bearer ******!"),
            ("{\"a\":\"s3cr3t\\/+\"}", "{\"a\":\"***\"}"),
            ("s3cr3t/", "s3cr3t/"),
            ("s3s3cr3t/+", "s3***"),
        ] {
            assert_eq!(masked(&["s3cr3t/+"], text, false), shown, "{text}");
        }
        assert_eq!(
            masked(&["user", "user:p\"ss"], r#"user:p\"ss user:pa"#, false),
            "*** ***:pa"
        );
    }

    #[test]
    fn beginning_of_a_secret_at_the_cut_is_masked() {
        for (text, shown) in [
            ("is: s3cr3t", "is: ***"),
            ("is: s3cr", "is: ***"),
            ("is: s3c", "is: s3c"),
            ("is: s3cr3t no", "is: s3cr3t no"),
        ] {
            assert_eq!(masked(&["s3cr3t/+"], text, true), shown, "{text}");
        }
    }

    #[test]
    fn what_is_too_short_for_a_secret_is_left_alone() {
        assert_eq!(masked(&["", "abc"], "abc", true), "abc");
    }
}
