//! Which message it is, wherever its bytes turn up.

use std::fmt;
use std::str::FromStr;

/// Writer, transaction and place within it. It begins every body, and is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    pub writer: u32,
    /// Transactions of a writer are counted from 1.
    pub transaction: u32,
    pub message: u32,
}

impl Identity {
    pub fn new(writer: u32, transaction: u32, message: u32) -> Self {
        Identity {
            writer,
            transaction,
            message,
        }
    }

    /// A body of about `length` bytes that says who it is; the rest is a filler that no other body has.
    pub fn body(self, length: usize) -> Vec<u8> {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-+";
        let mut body = format!("{self} ").into_bytes();
        let [writer, transaction, message] = [self.writer, self.transaction, self.message].map(u64::from);
        let mut random = fastrand::Rng::with_seed(writer << 48 ^ transaction << 16 ^ message);
        while body.len() < length {
            body.push(LETTERS[random.usize(..LETTERS.len())]);
        }
        body
    }

    /// The identity that a body begins with.
    pub fn of(body: &[u8]) -> Option<Identity> {
        let end = body.iter().position(|byte| *byte == b' ')?;
        std::str::from_utf8(&body[..end]).ok()?.parse().ok()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.writer, self.transaction, self.message)
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Identity, ()> {
        let mut numbers = text.split('/').map(|number| number.parse().map_err(|_| ()));
        let mut next = || numbers.next().unwrap_or(Err(()));
        let identity = Identity::new(next()?, next()?, next()?);
        if numbers.next().is_some() {
            return Err(());
        }
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn body_says_who_it_is_whatever_its_length() {
        for length in [0, 10, 5_000] {
            let identity = Identity::new(3, 70_000, 2);
            let body = identity.body(length);
            assert!(body.len() >= length && body.len() < length + 12);
            assert_eq!(Identity::of(&body), Some(identity));
            assert_eq!(body, identity.body(length));
        }
    }

    #[test]
    fn other_bytes_are_nobody() {
        for body in ["", "1/2/3", "1/2 x", "1/2/3/4 x", "a/b/c d", "{\"tick\": 1}"] {
            assert_eq!(Identity::of(body.as_bytes()), None, "{body}");
        }
    }
}
