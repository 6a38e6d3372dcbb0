//! `cargo run --release -p sheaf-bench --bin ratios`: the store beside what the machine could do.

use std::process::ExitCode;

use clap::Parser;
use sheaf_bench::ratios::{self, Scale};
use sheaf_bench::{Outcome, process};

/// Measures ratios in one run and prints them with the reach beside each.
#[derive(Parser)]
struct Arguments {
    /// Small and few: does it all work?
    #[arg(long)]
    quick: bool,
    /// Only one of pool-ready, pool-empty, sustained, first-read, get, small, batches
    #[arg(default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let outcome = match process::role() {
        Some((role, arguments)) => child(&role, &arguments),
        None => {
            let Arguments { quick, only } = Arguments::parse();
            ratios::run(if quick { Scale::QUICK } else { Scale::FULL }, &only)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ratios: {error}");
            ExitCode::FAILURE
        }
    }
}

fn child(role: &str, arguments: &[String]) -> Outcome<()> {
    match role {
        "store" => process::serve(arguments),
        "reader" => ratios::read(arguments),
        "pong" => ratios::pong(),
        _ => Err(format!("no role {role}").into()),
    }
}
