//! Numbers of JavaScript's, checked.

/// A `number` that is a count or a byte offset.
pub(crate) fn to_u64(number: f64) -> Result<u64, InvalidNumber> {
    if number.fract() == 0.0 && (0.0..=MAX_SAFE).contains(&number) {
        #[expect(clippy::as_conversions, reason = "there is no TryFrom<f64>")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        return Ok(number as u64);
    }
    Err(InvalidNumber { number })
}

/// A count or byte offset as a `number`: exact up to 2^53, beyond which it is rounded.
pub(crate) fn to_f64(number: u64) -> f64 {
    #[expect(clippy::as_conversions, reason = "there is no From<u64>")]
    #[expect(clippy::cast_precision_loss, reason = "said above")]
    let number = number as f64;
    number
}

/// A `number` that is neither a count nor an offset.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{number} is not a whole number from 0 to 2^53 - 1")]
pub struct InvalidNumber {
    /// What was given.
    pub number: f64,
}

/// `Number.MAX_SAFE_INTEGER`.
pub(crate) const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_safe_numbers_pass() {
        for number in [0.0, 1.0, 512.0, MAX_SAFE] {
            assert!(to_f64(to_u64(number).unwrap()).total_cmp(&number).is_eq());
        }
        for number in [-1.0, 0.5, MAX_SAFE + 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(to_u64(number).is_err(), "{number}");
        }
    }
}
