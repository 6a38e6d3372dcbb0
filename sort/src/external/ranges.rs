//! Where runs are cut: at the same keys, into ranges that memory holds.

use std::ops::Range;

use sheaf_store::Result;

use super::run::Run;
use crate::sorted::KeyRows;

/// What each run has of a range of keys.
pub(super) type Parts = Vec<Range<usize>>;

/// Ranges of at most `most` bytes, about, each as the rows that every run has of it.
///
/// Every row from a fence on to the next counts as the fence: a range has up to that much more of
/// each run. A cut is a row rather than a key, so that equal keys are no hindrance: what is equal
/// to it comes before it in runs above, and after it in those below.
///
/// # Errors
/// As [`KeyRows::of`].
pub(super) fn cut(runs: &[Run], keys: &KeyRows, most: usize) -> Result<Vec<Parts>> {
    let mut ranges = Vec::new();
    let mut starts = vec![0; runs.len()];
    for (cut, fence) in cuts(runs, most) {
        let key = runs[cut].fence(fence);
        let mut range = Vec::with_capacity(runs.len());
        for (at, (run, start)) in runs.iter().zip(&mut starts).enumerate() {
            let end = match at.cmp(&cut) {
                std::cmp::Ordering::Less => run.count(keys, |row| row <= key)?,
                std::cmp::Ordering::Equal => run.row_of(fence),
                std::cmp::Ordering::Greater => run.count(keys, |row| row < key)?,
            };
            range.push(std::mem::replace(start, end)..end);
        }
        ranges.push(range);
    }
    ranges.push(runs.iter().zip(starts).map(|(run, start)| start..run.num_rows()).collect());
    Ok(ranges)
}

/// The fences to cut at, by run and number, in order.
fn cuts(runs: &[Run], most: usize) -> Vec<(usize, usize)> {
    let mut fences: Vec<_> = runs
        .iter()
        .enumerate()
        .flat_map(|(run, fences)| {
            let fences = fences.fences().enumerate();
            fences.map(move |(at, (key, bytes))| (key, (run, at), bytes))
        })
        .collect();
    fences.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let mut cuts = Vec::new();
    let mut sum = 0;
    for (_, fence, bytes) in fences {
        if sum > 0 && sum + bytes > most {
            cuts.push(fence);
            sum = 0;
        }
        sum += bytes;
    }
    cuts
}
