//! What the sort's plan rests on: what moving a value costs, by how it is moved.

use std::hint::black_box;

use crate::clock::{median, timed};
use crate::private::huge_vec;

/// Values moved, 8 bytes each.
const VALUES: usize = 32 << 20;

/// Rounds that the median is of.
const ROUNDS: usize = 5;

/// Buckets that values are scattered to.
pub const BUCKETS: [usize; 4] = [256, 1024, 4096, 16_384];

/// One measured cost.
pub struct Cost {
    /// How values are moved.
    pub name: String,
    /// Nanoseconds a value, of one thread.
    pub nanoseconds: f64,
}

/// Measures all of them, one thread.
#[must_use]
pub fn measure() -> Vec<Cost> {
    let source: Vec<u64> = filled(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut target: Vec<u64> = filled(|_| 0);
    target.resize(target.capacity(), 0);
    let mut costs = vec![
        cost("read", || {
            black_box(source.iter().fold(0_u64, |sum, value| sum.wrapping_add(*value)));
        }),
        cost("copy", || target[..VALUES].copy_from_slice(black_box(&source))),
    ];
    for buckets in BUCKETS {
        let shift = 64 - buckets.ilog2();
        costs.push(cost(&format!("scatter to {buckets}, straight"), || {
            let mut places = starts(buckets);
            for value in &source {
                let place = &mut places[(value >> shift) as usize];
                target[*place] = *value;
                *place += 1;
            }
        }));
        costs.push(cost(&format!("scatter to {buckets}, by lines"), || {
            by_lines(&source, &mut target, buckets, shift);
        }));
    }
    let order: Vec<u32> = (0..VALUES as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 39) as u32 % VALUES as u32)
        .collect();
    costs.push(cost("gather from anywhere", || {
        for (target, index) in target.iter_mut().zip(&order) {
            *target = source[*index as usize];
        }
    }));
    costs.push(cost("gather within 128 KiB", || {
        for (target, index) in target.chunks_mut(1 << 14).zip(order.chunks(1 << 14)) {
            for (target, index) in target.iter_mut().zip(index) {
                *target = source[(*index & 0x3fff) as usize];
            }
        }
    }));
    costs
}

/// As the sort does it: a line of the cache a bucket.
fn by_lines(source: &[u64], target: &mut [u64], buckets: usize, shift: u32) {
    let mut places = starts(buckets);
    let mut lines = vec![[0_u64; 8]; buckets];
    for value in source {
        let bucket = (value >> shift) as usize;
        let place = places[bucket];
        lines[bucket][place & 7] = *value;
        places[bucket] = place + 1;
        if place & 7 == 7 {
            target[place - 7..=place].copy_from_slice(&lines[bucket]);
        }
    }
    black_box(&lines);
}

/// Where buckets begin that hold a little more than their share.
fn starts(buckets: usize) -> Vec<usize> {
    let share = VALUES / buckets;
    (0..buckets).map(|bucket| (bucket * share + bucket * 520 % (share | 1)) & !7).collect()
}

fn filled(value: impl Fn(u64) -> u64) -> Vec<u64> {
    let mut values = huge_vec(VALUES + (VALUES >> 3));
    values.extend((0..VALUES as u64).map(value));
    values
}

fn cost(name: &str, mut work: impl FnMut()) -> Cost {
    let seconds: Vec<f64> = (0..ROUNDS).map(|_| timed(&mut work).1).collect();
    Cost { name: name.into(), nanoseconds: median(&seconds) * 1e9 / VALUES as f64 }
}
