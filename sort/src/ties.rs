//! Rows of equal codes whose strings agree in more letters than a code holds.
//!
//! ```text
//! …/datasets/a91 ┐ what all of them have in common is left out; the next seven bytes, and whether
//! …/datasets/b03 ├ more follow, are a code; rows of equal codes again are looked at further on
//! …/datasets/b07 ┘
//! ```
//!
//! So every byte is read about once, in place of once for each comparison ("caching multikey
//! quicksort", Ng and Kakehi, 2007; here the codes are put in order by [`Orderer`]).

use std::cmp::Ordering;
use std::ops::Range;

use crate::lanes::Spans;
use crate::order::Orderer;

/// Rows up to here are compared.
const FEW: usize = 32;

/// Bytes of a string in a code.
const BYTES: usize = 7;

/// Strings fetched ahead of their turn.
const AHEAD: usize = 8;

/// The strings that decide between rows of equal codes.
pub(crate) struct Deciding<'a> {
    pub(crate) spans: Spans<'a>,
    /// Which rows have one.
    pub(crate) valid: Option<&'a [u8]>,
    pub(crate) descending: bool,
    /// Whether nothing else is sorted by after them.
    pub(crate) last: bool,
}

/// What is needed to put tied rows in order; used again and again.
#[derive(Debug, Default)]
pub(crate) struct Ties {
    orderer: Orderer,
    codes: Vec<u64>,
    order: Vec<u32>,
    moved: Vec<(u32, u64)>,
}

impl Ties {
    /// Puts rows in order whose keys agree in all that comes before the strings. `compare` compares
    /// two of them in full.
    pub(crate) fn sort(
        &mut self,
        rows: &mut [u32],
        deciding: &Deciding<'_>,
        compare: impl Fn(&u32, &u32) -> Ordering,
    ) {
        let is_null = |row: &u32| deciding.valid.is_some_and(|valid| valid[*row as usize] == 0);
        if rows.len() <= FEW || rows.iter().any(is_null) {
            rows.sort_by(compare);
            return;
        }
        let mut left: Vec<(Range<usize>, usize)> = vec![(0..rows.len(), 0)];
        while let Some((range, depth)) = left.pop() {
            let group = &mut rows[range.clone()];
            if group.len() <= FEW {
                group.sort_by(&compare);
                continue;
            }
            let depth = common(group, deciding, depth);
            self.order(group, deciding, depth);
            let mut start = 0;
            for same in self.moved.chunk_by(|a, b| a.1 == b.1) {
                let tied = start..start + same.len();
                start = tied.end;
                if tied.len() == 1 {
                    continue;
                }
                if ends(same[0].1, deciding.descending) {
                    if !deciding.last {
                        group[tied].sort_by(&compare);
                    }
                } else {
                    let range = range.start + tied.start..range.start + tied.end;
                    left.push((range, depth + BYTES));
                }
            }
        }
    }

    /// Orders rows by the bytes from `depth` on; what `moved` holds then are these rows and their
    /// codes.
    fn order(&mut self, rows: &mut [u32], deciding: &Deciding<'_>, depth: usize) {
        self.codes.clear();
        for (at, row) in rows.iter().enumerate() {
            if let Some(ahead) = rows.get(at + AHEAD) {
                deciding.spans.prefetch(*ahead as usize);
            }
            let code = code(deciding.spans.bytes(*row as usize), depth);
            self.codes.push(if deciding.descending { !code } else { code });
        }
        self.orderer.order(&self.codes, &mut self.order);
        let order = self.order.iter().map(|at| *at as usize);
        self.moved.clear();
        self.moved.extend(order.map(|at| (rows[at], self.codes[at])));
        rows.iter_mut().zip(&self.moved).for_each(|(row, moved)| *row = moved.0);
    }
}

/// How many bytes all of the strings have in common at the front; `depth` are known to be.
fn common(rows: &[u32], deciding: &Deciding<'_>, depth: usize) -> usize {
    let text = |row: u32| &deciding.spans.bytes(row as usize)[depth..];
    let Some((first, rest)) = rows.split_first() else { return depth };
    let first = text(*first);
    let mut same = first.len();
    for (at, row) in rest.iter().enumerate() {
        if same == 0 {
            break;
        }
        if let Some(ahead) = rest.get(at + AHEAD) {
            deciding.spans.prefetch(*ahead as usize);
        }
        let text = text(*row);
        if !text.starts_with(&first[..same]) {
            same = first[..same].iter().zip(text).take_while(|(a, b)| a == b).count();
        }
    }
    depth + same
}

/// Seven bytes from `depth` on, and how many there are: eight if there are more than seven.
fn code(text: &[u8], depth: usize) -> u64 {
    let rest = &text[depth..];
    let mut bytes = [0; 8];
    let held = rest.len().min(BYTES);
    bytes[..held].copy_from_slice(&rest[..held]);
    u64::from_be_bytes(bytes) | rest.len().min(BYTES + 1) as u64
}

/// Whether a string of this code has no more bytes than the code.
fn ends(code: u64, descending: bool) -> bool {
    let code = if descending { !code } else { code };
    (code & 0xff) as usize <= BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use proptest::prelude::*;

    use super::*;
    use crate::lanes::{Lane, Staging};
    use crate::source::Source;

    fn check(texts: &[String], descending: bool) {
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
        let source = Source::new(batch.schema(), vec![batch]).unwrap();
        let lane = Lane::spans(&source, 0);
        let mut staging = Staging::default();
        let run = source.runs(0..texts.len(), texts.len()).next().unwrap();
        let staged = lane.stage(&source, run, &mut staging);
        // SAFETY: the lane's spans.
        let spans = unsafe { Spans::new(staged, lane.texts()) };
        let deciding = Deciding { spans, valid: None, descending, last: true };
        let compare = |a: &u32, b: &u32| {
            let order = texts[*a as usize].cmp(&texts[*b as usize]);
            if descending { order.reverse() } else { order }
        };
        let mut expected: Vec<u32> = (0..texts.len() as u32).collect();
        let mut rows = expected.clone();
        expected.sort_by(compare);

        Ties::default().sort(&mut rows, &deciding, compare);

        assert_eq!(rows, expected);
    }

    #[test]
    fn strings_that_agree_far_are_ordered_and_equal_ones_keep_theirs() {
        let beginning = "the same beginning, and much of it, ".repeat(3);
        let texts: Vec<String> = (0..3000_u32)
            .map(|at| format!("{beginning}{}", at.wrapping_mul(77_777) % 800))
            .collect();
        let ladder: Vec<String> = (0..500).map(|at| "a".repeat(at * 7 % 300)).collect();
        for descending in [false, true] {
            check(&texts, descending);
            check(&ladder, descending);
            check(&vec![beginning.clone(); 200], descending);
        }
    }

    proptest! {
        #[test]
        fn any_strings_are_ordered(
            texts in proptest::collection::vec("(ab){0,9}[\0ac]{0,8}", 1..300),
            descending in any::<bool>(),
        ) {
            check(&texts, descending);
        }
    }
}
