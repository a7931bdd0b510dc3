//! Sizes as `qemu-io` reads them: `4096`, `0x1000`, `4k`, `1.5M`.
//!
//! A size is a whole number of bytes up to 2^63 - 1:
//!
//! - decimal, also with a leading zero (`010` is ten), or hexadecimal after `0x`;
//! - decimal with one of the suffixes `b k M G T P E` in either case, powers of 1024 (`b` is 1). A
//!   hexadecimal number takes none: in `0x1b` the `b` is a digit;
//! - with a suffix other than `b` it may have a fraction (`1.5k`, `.5k`, `1.k`), rounded to the nearest byte,
//!   halves up. The fraction is a double, as in QEMU, so its seventeenth digit no longer counts;
//! - a leading plus sign is ignored; a minus sign is refused, and so are exponents, spaces and words such as
//!   `kB` or `KiB`.

use core::fmt;
use core::str::FromStr;

use logwrites_core::geometry::MAX_OFFSET_BYTES;

/// A number of bytes from the command line, at most 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    bytes: u64,
}

impl Size {
    /// A size of so many bytes, if that is one.
    #[must_use]
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes <= MAX_OFFSET_BYTES { Some(Self { bytes }) } else { None }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        parse_size(text.as_bytes()).map(|bytes| Self { bytes })
    }
}

/// The number of bytes, in decimal.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}

/// The number of bytes that `text` says, at most 2^63 - 1.
///
/// # Errors
/// [`SizeError`] for what `qemu-io` refuses.
pub fn parse_size(text: &[u8]) -> Result<u64, SizeError> {
    let unsigned = text.strip_prefix(b"+").unwrap_or(text);
    let bytes = match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => u128::from(whole_number(digits, 16)?),
        _ => decimal(unsigned)?,
    };
    u64::try_from(bytes).ok().filter(|&bytes| bytes <= MAX_OFFSET_BYTES).ok_or(SizeError::TooLarge)
}

/// What makes a text no [`Size`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It has another form.
    #[error("expected a size such as 4096, 0x1000 or 4k")]
    NotASize,
    /// A fraction of a byte was asked for: `1.5`, or `1.5b`.
    #[error("a fraction needs a suffix, as in 1.5k")]
    FractionOfAByte,
    /// More than 2^63 - 1 bytes.
    #[error("a size is at most 9223372036854775807 bytes")]
    TooLarge,
}

/// The bytes that a decimal `text` without a sign says.
fn decimal(text: &[u8]) -> Result<u128, SizeError> {
    let (whole, rest) = split_digits(text);
    let (fraction, suffix) = match rest {
        [b'.', rest @ ..] => split_digits(rest),
        _ => (NO_DIGITS, rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(SizeError::NotASize);
    }
    let shift = match suffix {
        [] | [b'b' | b'B'] => 0,
        [b'k' | b'K'] => 10,
        [b'm' | b'M'] => 20,
        [b'g' | b'G'] => 30,
        [b't' | b'T'] => 40,
        [b'p' | b'P'] => 50,
        [b'e' | b'E'] => 60,
        _ => return Err(SizeError::NotASize),
    };
    let fraction = fixed_point(fraction);
    if shift == 0 && fraction != 0 && fraction != ONE {
        return Err(SizeError::FractionOfAByte);
    }
    // Neither can overflow: 64 and at most 60 bits each. The fraction is rounded, halves up.
    let whole = u128::from(if whole.is_empty() { 0 } else { whole_number(whole, 10)? });
    Ok((whole << shift) + (((fraction << shift) + ONE / 2) >> ONE.trailing_zeros()))
}

/// The digits that `text` starts with, and the rest.
fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// The number that one or more digits say, or `u64::MAX` where it is larger.
fn whole_number(digits: &[u8], radix: u32) -> Result<u64, SizeError> {
    if digits.is_empty() {
        return Err(SizeError::NotASize);
    }
    digits.iter().try_fold(0, |number: u64, &byte| {
        let digit = char::from(byte).to_digit(radix).ok_or(SizeError::NotASize)?;
        Ok(number.saturating_mul(radix.into()).saturating_add(digit.into()))
    })
}

/// The fraction after a point as QEMU has it: the nearest double, then cut to 64 binary places. In units of
/// [`ONE`], which it may reach; zero only where every digit is.
fn fixed_point(digits: &[u8]) -> u128 {
    if digits.iter().all(|&digit| digit == b'0') {
        return 0;
    }
    // Never fails: a point and digits are a double.
    let double = str::from_utf8(digits).ok().and_then(|digits| format!(".{digits}").parse::<f64>().ok());
    let bits = double.unwrap_or(0.0).to_bits();
    // A double is its significand times two to the power of its exponent less 1075. Subnormal ones need no
    // care: they are cut to nothing.
    let exponent = bits >> SIGNIFICAND_BITS;
    let implicit_one = 1 << SIGNIFICAND_BITS;
    let significand = u128::from(bits & (implicit_one - 1) | implicit_one);
    let scaled = match exponent.checked_sub(1075 - 64) {
        Some(left) => significand << left,
        None => significand >> (1075 - 64 - exponent).min(u64::from(u128::BITS) - 1),
    };
    scaled.max(1)
}

/// One in fixed point: 64 binary places.
const ONE: u128 = 1 << 64;

/// The bits of a double's significand that are stored.
const SIGNIFICAND_BITS: u32 = f64::MANTISSA_DIGITS - 1;

const NO_DIGITS: &[u8] = &[];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What qemu-io 10.0.2 printed as the offset for `write -- SIZE 0`.
    #[test]
    fn what_qemu_io_accepts() {
        let accepted: [(&str, u64); 62] = [
            ("0", 0),
            ("512", 512),
            ("000", 0),
            ("08", 8),
            ("010", 10),
            ("00000000000000000000000000000000010", 10),
            ("+1", 1),
            ("+0x10", 16),
            ("+1.5k", 1536),
            ("+.5k", 512),
            ("0x200", 512),
            ("0X10", 16),
            ("0x1b", 0x1b),
            ("0x1e", 0x1e),
            ("0x1E", 0x1e),
            ("1b", 1),
            ("1B", 1),
            ("1k", 1 << 10),
            ("1K", 1 << 10),
            ("1m", 1 << 20),
            ("1M", 1 << 20),
            ("2048m", 2 << 30),
            ("1g", 1 << 30),
            ("2G", 2 << 30),
            ("1t", 1 << 40),
            ("2T", 2 << 40),
            ("1p", 1 << 50),
            ("2P", 2 << 50),
            ("0e", 0),
            ("1e", 1 << 60),
            ("7E", 7 << 60),
            ("9223372036854775807", (1 << 63) - 1),
            ("0x7fffffffffffffff", (1 << 63) - 1),
            ("1.5k", 1536),
            ("1.5K", 1536),
            (".5k", 512),
            (".0", 0),
            (".0k", 0),
            ("0.0", 0),
            ("0.0b", 0),
            ("1.", 1),
            ("1.0", 1),
            ("1.k", 1024),
            ("1.b", 1),
            ("0.b", 0),
            ("1.e", 1 << 60),
            ("1.5e", 3 << 59),
            ("0.1k", 102),
            ("0.0004k", 0),
            ("0.0005k", 1),
            ("0.00048828125k", 1),
            ("0.00048828124k", 0),
            ("1.0000000001k", 1024),
            ("0.99999999999999999999k", 1024),
            (".99999999999999999999999", 1),
            (".000000000000000001E", 1),
            ("0.1E", 115_292_150_460_684_704),
            ("3.3E", 3_804_640_965_202_595_008),
            ("2.3k", 2355),
            ("0.7m", 734_003),
            ("0.0000001G", 107),
            ("0.000976562500000000000000000000001k", 1),
        ];
        for (text, bytes) in accepted {
            assert_eq!(parse_size(text.as_bytes()), Ok(bytes), "{text}");
            assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_qemu_io_refuses() {
        use SizeError::{FractionOfAByte, NotASize, TooLarge};
        let no_sizes = [
            "",
            "+",
            "++1",
            "+-1",
            "-1",
            "-0",
            "k",
            ".",
            ".k",
            "inf",
            "nan",
            "'1",
            "1kk",
            "1kB",
            "1KiB",
            "1s",
            "1S",
            "1ee",
            "1e3",
            "0e1",
            "1.e1",
            "1.5e1k",
            "1.5e+1k",
            "1.5ek",
            "1.5kk",
            "1.5_0k",
            "1.-5k",
            "1.+5k",
            "1.inf",
            ".nank",
            "1.0x1k",
            "1,5",
            "1_000",
            "0x",
            "0x1g",
            "0x10k",
            "0x1M",
            "0x1p",
            "0x1p3",
            "0x1.8k",
            "0x10.",
            "0x.8",
            "0x-1",
            "00x10",
            "0b1",
            "0o7",
            "1 k",
            " 1",
            "1 ",
            "18446744073709551616zz",
        ];
        for text in no_sizes {
            assert_eq!(parse_size(text.as_bytes()), Err(NotASize), "{text}");
        }
        for text in ["1.5", "1.5b", "1.4b", ".5", "0.5", "2.5B", ".5b"] {
            assert_eq!(parse_size(text.as_bytes()), Err(FractionOfAByte), "{text}");
        }
        let too_large = [
            "8E",
            "16E",
            "8e",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999",
            "99999999999999999999999E",
            "0xffffffffffffffff",
            "0x10000000000000000",
            "7.99999999999999999E",
        ];
        for text in too_large {
            assert_eq!(parse_size(text.as_bytes()), Err(TooLarge), "{text}");
        }
    }

    #[test]
    fn the_smallest_fractions_are_not_zero() {
        let tiny = [b"0.".as_slice(), &[b'0'; 2000], b"1k"].concat();
        assert_eq!(parse_size(&tiny), Ok(0));
        let tiny_bytes = [b"0.".as_slice(), &[b'0'; 2000], b"1"].concat();
        assert_eq!(parse_size(&tiny_bytes), Err(SizeError::FractionOfAByte));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in 0..=MAX_OFFSET_BYTES) {
            let size = Size { bytes };
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            prop_assert_eq!(parse_size(format!("{bytes:#x}").as_bytes()), Ok(bytes));
        }

        #[test]
        fn short_fractions_are_exact(whole in 0u64..1 << 20, thousandths in 0u64..1000) {
            let exact = (whole << 20) + ((thousandths << 20) + 500) / 1000;
            prop_assert_eq!(parse_size(format!("{whole}.{thousandths:03}M").as_bytes()), Ok(exact));
        }

        #[test]
        fn any_bytes_give_an_answer(text: Vec<u8>) {
            let _ = parse_size(&text);
        }

        #[test]
        fn any_digits_and_suffixes_give_an_answer(
            text in "[+]?(0x)?[0-9a-f]{0,40}[.]?[0-9]{0,40}[bkmgtpe]?",
        ) {
            let _ = parse_size(text.as_bytes());
        }
    }
}
