//! `cargo run --release -p sheaf-bench --bin sql`: SQL over stored tables beside `MemTable`.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use sheaf_bench::sql::{Set, ratios};
use sheaf_bench::{Outcome, clock, process};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Puts the tables of a set into a store.
    Load {
        set: Set,
        /// The store's socket.
        #[arg(long)]
        store: String,
        /// TPC-H's scale factor; of `hits` ten million rows.
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
    },
    /// Runs a set over a store of its own and over `MemTable`, in turns.
    Ratios {
        set: Set,
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
        /// Rounds that the median is of.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Only queries whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Prints a set's queries, as JSON.
    Queries { set: Set },
    /// How long the first rows of `select * from t limit 10` take, in the store's own process.
    FirstRow {
        /// The store's socket, which has the table.
        #[arg(long)]
        store: String,
        table: String,
    },
}

fn main() -> ExitCode {
    let outcome = match process::role() {
        Some((_, arguments)) => process::serve(&arguments),
        None => run(Arguments::parse().what),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sql: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> Outcome<()> {
    match what {
        What::Load { set, store, scale } => {
            ratios::put(&sheaf_store::connect(&store)?, &set.tables(scale))
        }
        What::Ratios { set, scale, rounds, only } => compare(set, scale, rounds, &only),
        What::Queries { set } => {
            let queries: Vec<_> = set.queries().into_iter().collect();
            println!("{}", serde_json::to_string(&queries)?);
            Ok(())
        }
        What::FirstRow { store, table } => first_row(&store, &table),
    }
}

fn compare(set: Set, scale: f64, rounds: usize, only: &str) -> Outcome<()> {
    let tables = set.tables(scale);
    let bytes: usize = tables
        .iter()
        .flat_map(|table| &table.batches)
        .map(arrow_array::RecordBatch::get_array_memory_size)
        .sum();
    let store = process::Store::start(2 * bytes + (256 << 20), 0)?;
    ratios::put(&store.client()?, &tables)?;
    println!("| query | stored ms | MemTable ms | ratio of speeds |\n|---|---|---|---|");
    let took = ratios::run(set, store.client()?, tables, rounds, only, |took| {
        let (store, memory) = (took.store * 1e3, took.memory * 1e3);
        println!("| {} | {store:.2} | {memory:.2} | {:.2} |", took.query, memory / store);
    })?;
    let sum = |of: fn(&ratios::Took) -> f64| took.iter().map(of).sum::<f64>();
    let (store, memory) = (sum(|took| took.store), sum(|took| took.memory));
    println!("| all | {:.1} | {:.1} | {:.2} |", store * 1e3, memory * 1e3, memory / store);
    let slowest = took.iter().map(|took| took.store / took.memory).fold(0.0, f64::max);
    println!("\nslowest beside MemTable: {slowest:.2} times its time");
    Ok(())
}

fn first_row(store: &str, table: &str) -> Outcome<()> {
    let store = sheaf_store::connect(store)?;
    let text = format!("select * from {table} limit 10");
    let mut times = Vec::new();
    for _ in 0..51 {
        let start = Instant::now();
        store.sql(&text, None)?.table()?;
        times.push(start.elapsed().as_secs_f64());
    }
    println!("{:.2} ms, median of 51, asked and answered", clock::median(&times) * 1e3);
    Ok(())
}
