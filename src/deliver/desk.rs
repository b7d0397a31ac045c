//! The memory that a request is written and its answer read with. A thread keeps it from one request to the
//! next, as there are more connections than threads, and it grows with what is written and read.

use std::cell::Cell;
use std::mem;

use ureq::unversioned::transport::Buffers;

/// Bytes to begin with, for what comes in.
const SMALL_INPUT: usize = 2 * 1024;

thread_local! {
    static SPARE: Cell<Option<Desk>> = const { Cell::new(None) };
}

#[derive(Default)]
pub struct Desk {
    /// Written by ureq and not sent yet.
    pub held: Vec<u8>,
    output: Vec<u8>,
    input: Vec<u8>,
    /// The part of the input that came in and was not consumed.
    unread: std::ops::Range<usize>,
    /// Longest input.
    most_input: usize,
    /// Whether anything was consumed since something came in. Otherwise ureq needs more of it.
    progress: bool,
    /// Bytes of informational answers that were consumed, of which there may be any number before the answer.
    informational: usize,
    /// Whether something else was.
    answered: bool,
}

impl Desk {
    /// The one of this thread, or a new one, for up to `input_bytes` that came in and were not read, and
    /// for parts of a request of up to `output_bytes`.
    pub fn take(input_bytes: usize, output_bytes: usize) -> Desk {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut desk = spare.unwrap_or_default();
        desk.most_input = input_bytes;
        desk.grow_input(SMALL_INPUT);
        if desk.output.len() < output_bytes {
            desk.output.resize(output_bytes, 0);
        }
        desk
    }

    /// Leaves it to the next request of this thread.
    pub fn leave(&mut self) {
        let mut desk = mem::take(self);
        desk.held.clear();
        desk.unread = 0..0;
        desk.progress = false;
        (desk.informational, desk.answered) = (0, false);
        let _ = SPARE.try_with(|spare| spare.set(Some(desk)));
    }

    /// Holds back the first `amount` bytes of the output.
    pub fn hold(&mut self, amount: usize) {
        self.held.extend_from_slice(&self.output[..amount]);
    }

    /// Bytes of the answers of a status of 1xx that came so far.
    pub fn informational(&self) -> usize {
        self.informational
    }

    fn grow_input(&mut self, bytes: usize) {
        let bytes = bytes.min(self.most_input);
        if self.input.len() < bytes {
            self.input.resize(bytes, 0);
        }
    }

    /// Moves what was not consumed to the front.
    fn close_up(&mut self) {
        if self.unread.start > 0 {
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
    }
}

impl Buffers for Desk {
    fn output(&mut self) -> &mut [u8] {
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        &self.input[self.unread.clone()]
    }

    /// Empty when there is as much unread input as there may be.
    fn input_append_buf(&mut self) -> &mut [u8] {
        self.close_up();
        if self.unread.end == self.input.len() {
            self.grow_input(2 * self.input.len());
        }
        &mut self.input[self.unread.end..]
    }

    /// A read that fills the whole buffer lets it grow: more is on its way.
    fn input_appended(&mut self, amount: usize) {
        self.unread.end += amount;
        if self.unread.end == self.input.len() {
            self.grow_input(2 * self.input.len());
        }
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        if amount > 0 && !self.answered {
            self.answered = !is_informational(&self.input()[..amount]);
            self.informational += if self.answered { 0 } else { amount };
        }
        self.unread.start += amount;
    }

    /// Nothing has come in yet when a body is read from memory, through the buffer for input.
    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.close_up();
        self.grow_input(self.output.len());
        (&mut self.input[self.unread.end..], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        !self.unread.is_empty() && self.progress
    }
}

/// Whether an answer begins with a status of 1xx.
fn is_informational(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/") && answer.iter().skip_while(|byte| **byte != b' ').nth(1) == Some(&b'1')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_grows_as_it_fills_up_to_its_limit() {
        let mut desk = Desk::take(4 * SMALL_INPUT, 100);
        let mut sizes = Vec::new();
        loop {
            let room = desk.input_append_buf().len();
            sizes.push(room);
            if room == 0 {
                break;
            }
            desk.input_appended(room);
        }
        assert_eq!(sizes, [SMALL_INPUT, SMALL_INPUT, 2 * SMALL_INPUT, 0]);
        desk.input_consume(10);
        assert_eq!(desk.input_append_buf().len(), 10);
        assert_eq!(desk.input().len(), 4 * SMALL_INPUT - 10);
    }

    #[test]
    fn input_is_read_in_order() {
        let mut desk = Desk::take(4 * SMALL_INPUT, 100);
        desk.input_append_buf()[..4].copy_from_slice(b"abcd");
        desk.input_appended(4);
        assert!(!desk.can_use_input());
        desk.input_consume(2);
        assert!(desk.can_use_input());
        desk.input_append_buf()[..2].copy_from_slice(b"ef");
        desk.input_appended(2);
        assert_eq!(desk.input(), b"cdef");
    }

    #[test]
    fn informational_answers_are_counted_until_the_answer() {
        let mut desk = Desk::take(4 * SMALL_INPUT, 100);
        for (consumed, counted) in [
            (&b""[..], 0),
            (b"HTTP/1.1 103 x\r\n\r\n", 18),
            (b"HTTP/1.1 100 x\r\n\r\n", 36),
            (b"HTTP/1.1 200 x\r\n\r\n", 36),
            (b"HTTP/1.1 103 of the body", 36),
        ] {
            desk.input_append_buf()[..consumed.len()].copy_from_slice(consumed);
            desk.input_appended(consumed.len());
            desk.input_consume(consumed.len());
            assert_eq!(desk.informational(), counted);
        }
        desk.leave();
        assert_eq!(Desk::take(4 * SMALL_INPUT, 100).informational(), 0);
    }

    #[test]
    fn next_request_finds_the_memory_and_nothing_on_it() {
        let mut desk = Desk::take(4 * SMALL_INPUT, 5_000);
        desk.input_appended(100);
        desk.held.extend(b"held");
        desk.leave();
        let mut next = Desk::take(4 * SMALL_INPUT, 100);
        assert_eq!(next.output().len(), 5_000);
        assert!(next.input().is_empty() && next.held.is_empty() && !next.can_use_input());
    }

    #[test]
    fn body_is_read_in_parts_as_large_as_the_output() {
        let mut desk = Desk::take(4 * SMALL_INPUT, 6_000);
        let (part, output) = desk.tmp_and_output();
        assert_eq!((part.len(), output.len()), (6_000, 6_000));
    }
}
