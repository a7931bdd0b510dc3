//! Where random decisions come from: a seed, or a fuzzer's bytes.

/// A source of decisions. The same source gives the same decisions.
pub trait Choices {
    /// A number below `bound`, which is at least 1. Zero once the source is exhausted: the dullest choice.
    fn below(&mut self, bound: u64) -> u64;

    /// Whether nothing but zeros is left.
    fn is_exhausted(&self) -> bool;

    /// An index below `len`, which is at least 1.
    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// One of `options`, of which there is at least one.
    fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.index(options.len())]
    }

    /// True once in `n` times, and never once the source is exhausted.
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n.max(2)) + 1 == n.max(2)
    }

    /// A source of its own, for decisions that are many and dull, such as which sectors a crash loses.
    fn fork(&mut self) -> Seeded {
        Seeded::new(self.below(1 << 16), u64::MAX)
    }
}

/// Decisions from a seed (`SplitMix64`), up to a number of them.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    state: u64,
    left: u64,
}

impl Seeded {
    /// `nr_choices` decisions from `seed`.
    #[must_use]
    pub const fn new(seed: u64, nr_choices: u64) -> Self {
        Self { state: seed, left: nr_choices }
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Choices for Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        if self.left == 0 {
            return 0;
        }
        self.left -= 1;
        self.next_u64() % bound
    }

    fn is_exhausted(&self) -> bool {
        self.left == 0
    }
}

/// Decisions from a fuzzer's bytes: one for a choice among up to 256, two or eight for more.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// Decisions from `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl Choices for Bytes<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        let nr_bytes = match bound {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        let (now, rest) = self.rest.split_at(nr_bytes.min(self.rest.len()));
        self.rest = rest;
        now.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)) % bound
    }

    fn is_exhausted(&self) -> bool {
        self.rest.is_empty()
    }
}

/// So many seeds for a test: three quarters are the same every time, the rest begin with a random one,
/// which is printed. `LOGWRITES_SEED` in the environment is the only one instead.
pub fn seeds(nr_seeds: u64) -> impl Iterator<Item = u64> {
    let (fixed, random) = match seed_of_environment() {
        Some(seed) => (seed..seed + 1, 0..0),
        None => {
            let first = random_seed();
            println!("the last seeds begin with {first}; LOGWRITES_SEED repeats one");
            let nr_fixed = nr_seeds / 4 * 3;
            (0..nr_fixed, first..first + nr_seeds - nr_fixed)
        }
    };
    fixed.chain(random)
}

/// What `LOGWRITES_SEED` says.
///
/// # Panics
/// If that is not a number.
#[must_use]
pub fn seed_of_environment() -> Option<u64> {
    let text = std::env::var("LOGWRITES_SEED").ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("LOGWRITES_SEED is {text:?}, and no number")))
}

/// A random seed, far from those that are the same every time.
#[must_use]
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    (1 << 32) + (RandomState::new().hash_one(0) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_source_is_dull() {
        let mut bytes = Bytes::new(&[7, 1, 0]);
        assert_eq!((bytes.below(5), bytes.below(1 << 10)), (2, 256));
        assert!(bytes.is_exhausted() && !bytes.one_in(2) && bytes.below(9) == 0);
        let mut seeded = Seeded::new(3, 1);
        seeded.below(2);
        assert!(seeded.is_exhausted() && seeded.below(1 << 40) == 0);
    }

    #[test]
    fn one_in_n_is_about_that() {
        let mut seeded = Seeded::new(1, u64::MAX);
        let hits = (0..10_000).filter(|_| seeded.one_in(10)).count();
        assert!((800..1200).contains(&hits), "{hits}");
    }
}
