//! The keys that secrets are encrypted with while they are stored.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{Purpose, Secret};
use crate::domain::queue::QueueId;

/// Bytes of a nonce, fresh and random for each secret.
pub const NONCE_BYTES: usize = NONCE_LEN;
/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Most keys in a file.
const MAX_KEYS: usize = 100;
/// Longest name of a key.
const MAX_ID_BYTES: usize = 64;

/// Keys by name: the first encrypts, all decrypt.
pub struct Keyring {
    keys: Vec<(String, LessSafeKey)>,
}

/// Names only.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|(id, _)| id))
            .finish()
    }
}

impl Keyring {
    /// Reads the text of a key file: a line for each key, with its name, a blank and 32 bytes in base64.
    /// Empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// What is wrong, with the number of the line and nothing of a key.
    pub fn parse(text: &str) -> Result<Keyring, String> {
        let mut keys: Vec<(String, LessSafeKey)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, key) = parse_line(line).map_err(|problem| format!("line {number} {problem}"))?;
            if keys.iter().any(|(known, _)| *known == id) {
                return Err(format!("line {number} has the name of an earlier key"));
            }
            keys.push((id, key));
        }
        match keys.len() {
            0 => Err("it holds no key".to_owned()),
            1..=MAX_KEYS => Ok(Keyring { keys }),
            _ => Err(format!("it holds more than {MAX_KEYS} keys")),
        }
    }

    /// Name of the key that encrypts.
    #[must_use]
    pub fn first(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// Encrypts for this queue and purpose with the first key; the result begins with the nonce, which
    /// must never have been used before. `None` if that fails, which it does not.
    #[must_use]
    pub fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        queue_id: QueueId,
        purpose: Purpose,
        secret: &[u8],
    ) -> Option<Vec<u8>> {
        let (_, key) = self.keys.first()?;
        let mut content = secret.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            bound_to(queue_id, purpose),
            &mut content,
        )
        .ok()?;
        Some([&nonce[..], &content].concat())
    }

    /// Decrypts what was encrypted for this queue and purpose with the key of that name.
    ///
    /// # Errors
    /// Why not.
    pub fn open(
        &self,
        key_id: &str,
        queue_id: QueueId,
        purpose: Purpose,
        content: &[u8],
    ) -> Result<Secret, String> {
        let Some((_, key)) = self.keys.iter().find(|(known, _)| known == key_id) else {
            return Err(format!("hooks.secret_key_file holds no key \"{key_id}\""));
        };
        let damaged = || format!("it cannot be decrypted with key \"{key_id}\"");
        let (nonce, sealed) = content.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let opened = key.open_in_place(nonce, bound_to(queue_id, purpose), &mut bytes);
        Ok(Secret::new(opened.map_err(|_| damaged())?.to_vec()))
    }
}

/// A stored secret is of no use in the row of another queue, or for another purpose.
fn bound_to(queue_id: QueueId, purpose: Purpose) -> Aad<String> {
    Aad::from(format!("pg_hooks secret 1 {queue_id} {}", purpose.as_str()))
}

fn parse_line(line: &str) -> Result<(String, LessSafeKey), String> {
    let Some((id, encoded)) = line.split_once([' ', '\t']) else {
        return Err("is not a name and a key".to_owned());
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.len() > MAX_ID_BYTES || !id.chars().all(is_plain) {
        return Err(format!(
            "has a name that is not 1 to {MAX_ID_BYTES} letters, digits, dots, hyphens and underscores"
        ));
    }
    let not_a_key = || format!("has no key of {KEY_BYTES} bytes in base64");
    let bytes = BASE64_STANDARD
        .decode(encoded.trim())
        .map(Zeroizing::new)
        .map_err(|_| not_a_key())?;
    let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| not_a_key())?;
    Ok((id.to_owned(), LessSafeKey::new(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "new AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn keyring(text: &str) -> Keyring {
        Keyring::parse(text).unwrap()
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let old = keyring(OLD);
        let sealed = old.seal([1; 12], 7, Purpose::Bearer, b"canary").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        let both = keyring(&format!("# first the new one\n\n {NEW}\r\n{OLD}\n"));
        assert_eq!(both.first(), "new");
        let opened = both.open("old", 7, Purpose::Bearer, &sealed).unwrap();
        assert_eq!(opened.expose(), b"canary");
        let resealed = both.seal([2; 12], 7, Purpose::Bearer, b"canary").unwrap();
        let opened = keyring(NEW).open("new", 7, Purpose::Bearer, &resealed).unwrap();
        assert_eq!(opened.expose(), b"canary");
    }

    #[test]
    fn what_is_moved_damaged_or_of_another_key_does_not_open() {
        let ring = keyring(OLD);
        let sealed = ring.seal([1; 12], 7, Purpose::Bearer, b"canary").unwrap();
        let damaged = "it cannot be decrypted with key \"old\"";
        let problem =
            |queue_id, purpose, content: &[u8]| ring.open("old", queue_id, purpose, content).unwrap_err();
        assert_eq!(problem(8, Purpose::Bearer, &sealed), damaged);
        assert_eq!(problem(7, Purpose::Basic, &sealed), damaged);
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(problem(7, Purpose::Bearer, &other), damaged);
            assert_eq!(problem(7, Purpose::Bearer, &sealed[..at]), damaged);
        }
        assert_eq!(
            keyring(NEW).open("old", 7, Purpose::Bearer, &sealed).unwrap_err(),
            "hooks.secret_key_file holds no key \"old\""
        );
    }

    #[test]
    fn a_file_that_is_not_understood_says_where_and_shows_no_key() {
        for (text, expected) in [
            ("", "it holds no key"),
            ("# nothing\n\n", "it holds no key"),
            ("AAECAwQF", "line 1 is not a name and a key"),
            ("# x\na AAEC", "line 2 has no key of 32 bytes in base64"),
            ("a !!!!", "line 1 has no key of 32 bytes in base64"),
            (
                "a/b AAEC",
                "line 1 has a name that is not 1 to 64 letters, digits, dots, hyphens and underscores",
            ),
            (&format!("{OLD}\n{OLD}"), "line 2 has the name of an earlier key"),
        ] {
            assert_eq!(Keyring::parse(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn debug_output_shows_names_only() {
        assert_eq!(format!("{:?}", keyring(OLD)), "[\"old\"]");
    }
}
