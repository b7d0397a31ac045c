//! Numbers in as few bytes as they need: seven bits in each, the lowest first (LEB128).

/// Appends a number.
pub fn put(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push((number as u8) | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Takes a number off the front; `None` when there is none, or one too large.
pub fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if bits.leading_zeros() < shift {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{put, take};

    proptest! {
        #[test]
        fn what_is_put_is_taken(numbers in proptest::collection::vec(any::<u64>(), 0..20)) {
            let mut bytes = Vec::new();
            for number in &numbers {
                put(*number, &mut bytes);
            }
            let mut rest = bytes.as_slice();
            for number in &numbers {
                prop_assert_eq!(take(&mut rest), Some(*number));
            }
            prop_assert_eq!(take(&mut rest), None);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        ] {
            assert_eq!(take(&mut &*bytes), None, "{bytes:?}");
        }
    }
}
