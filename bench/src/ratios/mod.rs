//! Ratios measured in one run: what the store does beside what the machine could do at best.
//!
//! Every figure is the median of several, and what is compared takes turns, so that other work on
//! the machine meets both. Ratios are of speeds: 1.0 is as fast as the yardstick, less is slower.

mod batches;
mod gets;
mod puts;
mod reads;
mod small;

pub use gets::pong;
pub use reads::read;

use crate::{MIB, Outcome};

/// How large and how often.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The tables that are put and read, in bytes.
    sizes: [usize; 2],
    /// Samples of whatever takes milliseconds.
    repeats: usize,
    /// Samples of whatever takes microseconds.
    calls: usize,
    /// Puts and deletes in a row.
    churn: usize,
    /// Batches of the table of many batches.
    batches: usize,
}

impl Scale {
    /// What the figures are quoted at: some two minutes, and 5 GiB of memory.
    pub const FULL: Self = Self {
        sizes: [64 * MIB, 1024 * MIB],
        repeats: 9,
        calls: 2000,
        churn: 200,
        batches: 20_000,
    };

    /// Does it all work? Its figures mean nothing.
    pub const QUICK: Self =
        Self { sizes: [16 * MIB, 64 * MIB], repeats: 3, calls: 200, churn: 10, batches: 2_000 };
}

/// One line of the table.
pub(crate) struct Row {
    what: String,
    measured: String,
    ratio: String,
    reach: &'static str,
}

impl Row {
    fn new(
        what: impl Into<String>,
        measured: impl Into<String>,
        ratio: impl Into<String>,
        reach: &'static str,
    ) -> Self {
        Self { what: what.into(), measured: measured.into(), ratio: ratio.into(), reach }
    }
}

/// Measures everything, or `only` one of them, and prints the table.
///
/// # Errors
/// When a process can't be started, or the store says so.
pub fn run(scale: Scale, only: &str) -> Outcome<()> {
    type Measure = fn(Scale) -> Outcome<Vec<Row>>;
    let all: [(&str, Measure); 7] = [
        ("pool-ready", puts::ready),
        ("pool-empty", puts::empty),
        ("sustained", puts::sustained),
        ("first-read", reads::first),
        ("get", gets::round_trips),
        ("small", small::pipelined),
        ("batches", batches::many),
    ];
    println!("load {}", load());
    println!("{:44} {:>26} {:>22}   reach", "what", "measured", "ratio");
    for (name, measure) in all {
        if !only.is_empty() && name != only {
            continue;
        }
        for Row { what, measured, ratio, reach } in measure(scale)? {
            println!("{what:44} {measured:>26} {ratio:>22}   {reach}");
        }
    }
    println!("load {}", load());
    Ok(())
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Bytes as they are spoken of.
fn size(bytes: usize) -> String {
    let mib = bytes / MIB;
    if mib >= 1024 { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}

/// Gigabytes a second.
fn speed(bytes: usize, seconds: f64) -> String {
    format!("{:.2} GB/s", bytes as f64 / seconds / 1e9)
}
