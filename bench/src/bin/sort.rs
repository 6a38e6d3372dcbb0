//! `cargo run --release -p sheaf-bench --bin sort`: the sort from the store into the store.

use std::process::ExitCode;

use clap::Parser;
use sheaf_bench::clock::median;
use sheaf_bench::sort::{self, CASES};
use sheaf_bench::{Outcome, process};

/// Sorts the cases and prints what each took; every first result is checked.
#[derive(Parser)]
struct Arguments {
    /// Rows of the plainest case; others have a share of it.
    #[arg(long, default_value_t = 100_000_000)]
    rows: usize,
    /// Rounds that the median is of.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Threads; all cores when 0.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// What moving a value costs, in place of the cases.
    #[arg(long)]
    constants: bool,
}

fn main() -> ExitCode {
    let outcome = match process::role() {
        Some((_, arguments)) => process::serve(&arguments),
        None => run(&Arguments::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sort: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    if arguments.constants {
        for cost in sort::constants::measure() {
            println!("{:32} {:6.2} ns", cost.name, cost.nanoseconds);
        }
        return Ok(());
    }
    let cores = match arguments.threads {
        0 => std::thread::available_parallelism()?.get(),
        threads => threads,
    };
    println!("{:24} {:>11} {:>9} {:>9} {:>9}", "case", "rows", "seconds", "M rows/s", "core-ns");
    for case in CASES.iter().filter(|case| case.name.contains(&arguments.only)) {
        let took = sort::run(case, arguments.rows, arguments.rounds, arguments.threads)?;
        let (rows, seconds) = (took.rows as f64, median(&took.seconds));
        let (rate, cost) = (rows / seconds / 1e6, seconds * cores as f64 * 1e9 / rows);
        println!("{:24} {rows:>11} {seconds:>9.4} {rate:>9.1} {cost:>9.2}", case.name);
    }
    Ok(())
}
