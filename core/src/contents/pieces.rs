//! Which part of a disk belongs to what.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

/// What an extent belongs to.
pub(super) trait Part: Copy {
    /// The same from so many bytes on.
    #[must_use]
    fn skip(self, bytes: u64) -> Self;
}

/// Disjoint ranges of bytes. Where two claim the same bytes, they are the first one's.
#[derive(Clone, Debug)]
pub(super) struct Claims<P> {
    /// What is claimed, joined: start and end.
    covered: BTreeMap<u64, u64>,
    list: Vec<(Range<u64>, P)>,
    is_full: bool,
}

impl<P: Part> Claims<P> {
    pub(super) const fn new() -> Self {
        Self { covered: BTreeMap::new(), list: Vec::new(), is_full: false }
    }

    /// Claims a range as far as it is not claimed, and says whether all of it was still free. Over all calls O(log n) each:
    /// what is claimed is joined, and so no part of it is looked at twice.
    pub(super) fn claim(&mut self, range: Range<u64>, part: P) -> bool {
        if range.is_empty() || self.list.len() >= MAX_PIECES {
            self.is_full |= !range.is_empty();
            return false;
        }
        let (mut start, mut end) = (range.start, range.end);
        let mut at = range.start;
        if let Some((before, until)) = self.covered.range(..=start).next_back().map(|(s, e)| (*s, *e))
            && until >= start
        {
            start = before;
            at = until;
        }
        let mut is_free = at == range.start;
        while let Some((next, until)) =
            self.covered.range(start + 1..=range.end).next().map(|(s, e)| (*s, *e))
        {
            self.covered.remove(&next);
            self.push(at..next.min(range.end), &range, part);
            is_free &= next >= range.end;
            at = at.max(until);
            end = end.max(until);
        }
        self.push(at..range.end, &range, part);
        self.covered.insert(start, end.max(at));
        is_free
    }

    fn push(&mut self, gap: Range<u64>, of: &Range<u64>, part: P) {
        if !gap.is_empty() {
            let part = part.skip(gap.start - of.start);
            self.list.push((gap, part));
        }
    }

    /// Whether claims were dropped since there are too many.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// All of them, to look up. O(n log n).
    pub(super) fn into_pieces(mut self) -> Pieces<P> {
        self.list.sort_unstable_by_key(|(range, _)| range.start);
        Pieces { list: self.list }
    }
}

/// Disjoint ranges of bytes, in order.
#[derive(Clone, Debug)]
pub(super) struct Pieces<P> {
    list: Vec<(Range<u64>, P)>,
}

impl<P: Part> Pieces<P> {
    /// What a range belongs to, in order, without gaps; `None` is what nothing has claimed. O(log n) and O(1) for each.
    pub(super) fn of(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, Option<P>)> + '_ {
        let mut at = range.start;
        let mut nth = self.list.partition_point(|(piece, _)| piece.end <= at);
        core::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let start = at;
            let part = match self.list.get(nth) {
                Some((piece, part)) if piece.start <= at => {
                    nth += 1;
                    at = piece.end.min(range.end);
                    Some(part.skip(start - piece.start))
                }
                Some((piece, _)) => {
                    at = piece.start.min(range.end);
                    None
                }
                None => {
                    at = range.end;
                    None
                }
            };
            Some((start..at, part))
        })
    }
}

/// How many pieces a map has at most: some 40 MB of them.
const MAX_PIECES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    impl Part for (u8, u64) {
        fn skip(self, bytes: u64) -> Self {
            (self.0, self.1 + bytes)
        }
    }

    proptest! {
        /// Beside an array that says for each byte which claim came first, and at which of its bytes.
        #[test]
        fn the_first_claim_counts(claims in proptest::collection::vec((0u64..60, 0u64..20), 0..12), from in 0u64..60, len in 0u64..60) {
            let mut expected = vec![None; 120];
            let mut all = Claims::new();
            for (nth, (start, len)) in (0u8..).zip(claims) {
                let was_free = (start..start + len).all(|at| expected[usize::try_from(at).unwrap()].is_none());
                prop_assert_eq!(all.claim(start..start + len, (nth, 0)), was_free && len > 0);
                for at in start..start + len {
                    expected[usize::try_from(at).unwrap()].get_or_insert((nth, at - start));
                }
            }
            let mut at = from;
            for (range, part) in all.into_pieces().of(from..from + len) {
                prop_assert!(range.start == at && !range.is_empty());
                for byte in range.clone() {
                    let part = part.map(|part| part.skip(byte - range.start));
                    prop_assert_eq!(part, expected[usize::try_from(byte).unwrap()]);
                }
                at = range.end;
            }
            prop_assert_eq!(at, from + len);
        }
    }
}
