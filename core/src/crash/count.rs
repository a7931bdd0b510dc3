//! How many states there are: sums of powers of two, exact at any size.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt;
use core::ops::AddAssign;
use core::str::FromStr;

use num_bigint::BigUint;

/// A number of crash states, exact: a group of n units has 2^n of them, and n may be in the hundreds of thousands.
///
/// It takes memory for its binary ones only. `Display` rounds where the number is long, as in `1.5e20`;
/// [`decimal`](Self::decimal) gives every digit, and [`log2`](Self::log2) the size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StateCount {
    /// The binary digits that are one.
    ones: BTreeSet<u64>,
}

impl StateCount {
    /// No state.
    #[must_use]
    pub const fn zero() -> Self {
        Self { ones: BTreeSet::new() }
    }

    /// 2 to the power of `exponent`. O(1).
    #[must_use]
    pub fn power_of_two(exponent: u64) -> Self {
        Self { ones: BTreeSet::from([exponent]) }
    }

    /// Adds 2 to the power of `exponent`. O(log n) amortised for n binary ones.
    ///
    /// # Panics
    /// If the sum needs more than 2^64 binary digits.
    pub fn add_power_of_two(&mut self, mut exponent: u64) {
        while self.ones.remove(&exponent) {
            exponent = exponent.checked_add(1).expect("fewer units than a u64 counts");
        }
        self.ones.insert(exponent);
    }

    /// Whether it is 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.ones.is_empty()
    }

    /// The exponent, if the number is a power of two.
    #[must_use]
    pub fn exponent(&self) -> Option<u64> {
        let last = self.ones.last().copied();
        last.filter(|_| self.ones.len() == 1)
    }

    /// Its binary logarithm, to the precision of an `f64`; negative infinity for 0.
    #[must_use]
    pub fn log2(&self) -> f64 {
        let Some(top) = self.ones.last() else { return f64::NEG_INFINITY };
        to_f64(*top) + libm::log2(self.in_units_of(*top))
    }

    /// Which part of `whole` it is: 1 if they are equal, 0 if `whole` is 0. To the precision of an `f64`: compare the
    /// counts themselves to know whether all states are among them.
    #[must_use]
    pub fn share_of(&self, whole: &Self) -> f64 {
        whole.ones.last().map_or(0.0, |top| self.in_units_of(*top) / whole.in_units_of(*top))
    }

    /// Every decimal digit. A number of n binary digits takes O(n^1.6): a second for some millions of them.
    #[must_use]
    pub fn decimal(&self) -> String {
        let mut number = BigUint::ZERO;
        for one in &self.ones {
            number.set_bit(*one, true);
        }
        alloc::format!("{number}")
    }

    /// The exponents of the powers of two that it is the sum of, ascending.
    pub fn exponents(&self) -> impl Iterator<Item = u64> + '_ {
        self.ones.iter().copied()
    }

    /// The number divided by 2 to the power of `unit`, which an `f64` must be able to hold.
    fn in_units_of(&self, unit: u64) -> f64 {
        // From the smallest on, so that many small ones count.
        let parts = self.ones.iter().map(|one| libm::exp2(to_f64(*one) - to_f64(unit)));
        // A sum of nothing would be -0.
        parts.fold(0.0, |sum, part| sum + part)
    }
}

impl AddAssign<&Self> for StateCount {
    fn add_assign(&mut self, other: &Self) {
        for one in &other.ones {
            self.add_power_of_two(*one);
        }
    }
}

/// Decimal digits, as [`decimal`](StateCount::decimal) gives them. O(n²) for n digits.
impl FromStr for StateCount {
    type Err = ParseStateCountError;

    fn from_str(text: &str) -> Result<Self, ParseStateCountError> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: BigUint = text.parse().ok().filter(|_| is_number).ok_or(ParseStateCountError)?;
        Ok(Self { ones: (0..number.bits()).filter(|bit| number.bit(*bit)).collect() })
    }
}

/// A text that is not a number of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected decimal digits")]
pub struct ParseStateCountError;

/// Exact below a million, `1.5e20` from there on.
impl fmt::Display for StateCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXACT_BELOW_LOG2: f64 = 20.0;
        if self.log2() < EXACT_BELOW_LOG2 {
            let exact: u64 = self.ones.iter().map(|one| 1 << one).sum();
            return exact.fmt(f);
        }
        let log10 = self.log2() * core::f64::consts::LOG10_2;
        let (mut exponent, mut mantissa) = (libm::floor(log10), libm::exp10(log10 - libm::floor(log10)));
        // What would be rounded to 10.0.
        if mantissa >= 9.95 {
            (exponent, mantissa) = (exponent + 1.0, 1.0);
        }
        write!(f, "{mantissa:.1}e{exponent:.0}")
    }
}

/// Exact up to 2^53, and close enough beyond for a logarithm.
fn to_f64(number: u64) -> f64 {
    const HALF: f64 = 4_294_967_296.0;
    let high = u32::try_from(number >> 32).expect("32 bits");
    let low = u32::try_from(number & u64::from(u32::MAX)).expect("32 bits");
    f64::from(high) * HALF + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn it_adds_up_with_carries() {
        let mut count = StateCount::zero();
        assert!(count.is_zero());
        for _ in 0..8 {
            count.add_power_of_two(64);
        }
        assert_eq!(count, StateCount::power_of_two(67));
        assert_eq!((count.exponent(), count.to_string().as_str()), (Some(67), "1.5e20"));
        assert_eq!(count.decimal(), "147573952589676412928");
        count += &StateCount::power_of_two(0);
        assert_eq!((count.exponent(), count.decimal().as_str()), (None, "147573952589676412929"));
    }

    #[test]
    fn it_is_printed_at_any_size() {
        let print = |exponent| StateCount::power_of_two(exponent).to_string();
        assert_eq!([print(0), print(10), print(19)], ["1", "1024", "524288"]);
        assert_eq!([print(20), print(517), print(1_000_000)], ["1.0e6", "4.3e155", "9.9e301029"]);
        assert_eq!(StateCount::zero().to_string(), "0");
        let mut nearly = StateCount::power_of_two(23);
        nearly += &StateCount::power_of_two(20);
        nearly += &StateCount::power_of_two(19);
        assert_eq!((nearly.decimal().as_str(), nearly.to_string().as_str()), ("9961472", "1.0e7"));
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["", "-1", "+1", "1_0", "1e20", " 1"] {
            assert_eq!(text.parse::<StateCount>(), Err(ParseStateCountError), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_relative_to_the_whole() {
        let whole = StateCount::power_of_two(5000);
        assert!((StateCount::power_of_two(4998).share_of(&whole) - 0.25).abs() < 1e-12);
        assert!((whole.share_of(&whole) - 1.0).abs() < 1e-12);
        assert!(StateCount::power_of_two(0).share_of(&whole) == 0.0);
        assert!(StateCount::zero().share_of(&StateCount::zero()) == 0.0);
    }

    proptest! {
        #[test]
        fn it_counts_as_integers_do(exponents in proptest::collection::vec(0u64..100, 0..20)) {
            let mut count = StateCount::zero();
            let mut exact = 0u128;
            for exponent in exponents {
                count.add_power_of_two(exponent);
                exact += 1u128 << exponent;
            }
            prop_assert_eq!(count.decimal(), exact.to_string());
            prop_assert_eq!(count.decimal().parse(), Ok(count.clone()));
            prop_assert_eq!(count.exponents().map(|exponent| 1u128 << exponent).sum::<u128>(), exact);
        }
    }
}
