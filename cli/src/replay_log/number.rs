//! Numbers as C programs read them.

/// All of `text` as C's `strtoull` reads it with base 0: blanks, a sign, hexadecimal after 0x, octal after 0. What is
/// too large is the largest there is, and nothing at all is 0.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let text = text.trim_ascii_start();
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = Some(0_u64);
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix)?;
        number = number.and_then(|number| number.checked_mul(radix.into())?.checked_add(digit.into()));
    }
    Some(number.map_or(u64::MAX, |number| if is_negative { number.wrapping_neg() } else { number }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cs() {
        for (text, number) in [
            ("0", 0),
            ("10", 10),
            ("010", 8),
            ("0x10", 16),
            ("0XfF", 255),
            ("+7", 7),
            (" \t7", 7),
            ("-1", u64::MAX),
            ("", 0),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("-18446744073709551616", u64::MAX),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in ["abc", "1k", "08", "0x", "0xg", "-", "+", " ", "1 ", "--1", "0b1"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
