//! Timing and medians.

use std::time::Instant;

/// What `act` returns, and the seconds it took.
pub fn timed<T>(act: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = act();
    (value, start.elapsed().as_secs_f64())
}

/// The median; of an even number the upper one.
///
/// # Panics
/// If there are no samples, or one is not a number.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
