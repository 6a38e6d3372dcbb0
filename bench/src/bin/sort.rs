//! `cargo run --release -p sheaf-bench --bin sort`: the sort from the store into the store.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sheaf_bench::clock::median;
use sheaf_bench::sort::{self, CASES, Took};
use sheaf_bench::{Outcome, process};
use sheaf_sort::SortKey;

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
    /// The names of the cases, in place of sorting them.
    #[arg(long)]
    list: bool,
    /// Write the table of a case to this Arrow file, in place of sorting it.
    #[arg(long, requires = "case")]
    write: Option<PathBuf>,
    /// The case to write.
    #[arg(long)]
    case: Option<String>,
    /// Sort the table of this file, and tell the seconds as JSON.
    #[arg(long, requires = "by")]
    file: Option<PathBuf>,
    /// What to sort it by.
    #[arg(long, value_delimiter = ',')]
    by: Vec<String>,
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
    if arguments.list {
        CASES.iter().for_each(|case| println!("{}", case.name));
        return Ok(());
    }
    if let Some(file) = &arguments.write {
        let named = CASES.iter().find(|case| Some(case.name) == arguments.case.as_deref());
        let case = named.ok_or("no such case: --list names them")?;
        let batch = case.table(arguments.rows);
        sort::write(&batch, file)?;
        let by: Vec<_> = case.by().into_iter().map(|key| key.column).collect();
        println!("{}", serde_json::json!({ "rows": batch.num_rows(), "by": by }));
        return Ok(());
    }
    if let Some(file) = &arguments.file {
        let by: Vec<_> = arguments.by.iter().map(|key| SortKey::parse(key)).collect();
        let took = sort::run(sort::read(file)?, &by, arguments.rounds, arguments.threads)?;
        let Took { seconds, peak_bytes, .. } = took;
        println!("{}", serde_json::json!({ "seconds": seconds, "peak_bytes": peak_bytes }));
        return Ok(());
    }
    let cores = match arguments.threads {
        0 => std::thread::available_parallelism()?.get(),
        threads => threads,
    };
    println!("{:24} {:>11} {:>9} {:>9} {:>9}", "case", "rows", "seconds", "M rows/s", "core-ns");
    for case in CASES.iter().filter(|case| case.name.contains(&arguments.only)) {
        let batches = vec![case.table(arguments.rows)];
        let took = sort::run(batches, &case.by(), arguments.rounds, arguments.threads)?;
        let (rows, seconds) = (took.rows as f64, median(&took.seconds));
        let (rate, cost) = (rows / seconds / 1e6, seconds * cores as f64 * 1e9 / rows);
        println!("{:24} {rows:>11} {seconds:>9.4} {rate:>9.1} {cost:>9.2}", case.name);
    }
    Ok(())
}
