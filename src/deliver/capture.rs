//! Reading the body of an answer: as much as is kept, and a bit further.

use std::io::Read;

use super::Response;
use crate::fault;

/// What is read and thrown away after the kept bytes, at most. A body read to its end leaves the
/// connection fit for the next request; beyond this, a new connection is cheaper.
const MAX_DRAIN: usize = 64 * 1024;

/// Bytes read at a time; on the stack of each thread.
const CHUNK: usize = 1024;

/// Reads `body`, keeps the first `limit` bytes, and never holds more than that; less if there is no memory for it.
///
/// `length` is what the header of the answer said, if anything. Whatever goes wrong on the way only ends
/// the body early: the receiver has answered by then.
pub fn capture(mut body: impl Read, length: Option<u64>, limit: usize) -> Response {
    let mut response = Response::default();
    let mut drained = 0;
    if length.is_some_and(|length| length > (limit + MAX_DRAIN) as u64) {
        drained = MAX_DRAIN;
    }
    let mut chunk = [0; CHUNK];
    loop {
        let room = limit - response.body.len();
        if room == 0 && drained >= MAX_DRAIN {
            response.truncated = true;
            return response;
        }
        match body.read(&mut chunk) {
            Ok(0) => return response,
            Ok(amount) => {
                let kept = amount.min(room);
                if fault::strikes("memory: answer") || response.body.try_reserve(kept).is_err() {
                    response.truncated = true;
                    return response;
                }
                response.body.extend_from_slice(&chunk[..kept]);
                response.truncated |= kept < amount;
                drained += amount - kept;
            }
            Err(_) => {
                response.truncated = true;
                return response;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Gives `left` bytes, one read after the other, and counts them.
    struct Endless {
        left: usize,
        given: usize,
    }

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let amount = buffer.len().min(self.left);
            buffer[..amount].fill(b'x');
            self.left -= amount;
            self.given += amount;
            Ok(amount)
        }
    }

    #[test]
    fn short_body_is_kept_whole() {
        let response = capture(&b"nul \0 and \xff"[..], None, 100);
        assert_eq!(response.body, b"nul \0 and \xff");
        assert!(!response.truncated);
    }

    #[test]
    fn body_as_long_as_the_limit_is_not_truncated() {
        let response = capture(&b"12345"[..], Some(5), 5);
        assert_eq!(
            (response.body.as_slice(), response.truncated),
            (&b"12345"[..], false)
        );
    }

    #[test]
    fn longer_body_is_cut_and_read_to_its_end() {
        let mut body = Endless {
            left: 10_000,
            given: 0,
        };
        let response = capture(&mut body, None, 100);
        assert_eq!(
            (response.body.len(), response.truncated, body.left),
            (100, true, 0)
        );
    }

    #[test]
    fn endless_body_is_left_alone() {
        let mut body = Endless {
            left: usize::MAX,
            given: 0,
        };
        let response = capture(&mut body, None, 100);
        assert_eq!((response.body.len(), response.truncated), (100, true));
        assert!(body.given <= 100 + MAX_DRAIN + 2 * CHUNK, "{}", body.given);
    }

    #[test]
    fn body_announced_as_too_long_is_not_drained() {
        let mut body = Endless {
            left: usize::MAX,
            given: 0,
        };
        let response = capture(&mut body, Some(2_000_000_000), 100);
        assert_eq!((response.body.len(), response.truncated), (100, true));
        assert!(body.given <= CHUNK, "{}", body.given);
    }

    #[test]
    fn nothing_kept_is_possible() {
        let response = capture(&b"1"[..], Some(1), 0);
        assert_eq!((response.body.len(), response.truncated), (0, true));
    }

    #[test]
    fn body_that_breaks_off_is_truncated() {
        let broken = io::Read::chain(&b"abc"[..], Broken);
        let response = capture(broken, None, 100);
        assert_eq!(
            (response.body.as_slice(), response.truncated),
            (&b"abc"[..], true)
        );
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}
