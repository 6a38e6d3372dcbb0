//! The `sheaf` program: serves a store, puts tables into it, maps them out of it.
//!
//! ```text
//! args ─▶ verb::* ─▶ sheaf_store::Client ─▶ the store
//!           ├─ format   files and streams ⇄ record batches
//!           └─ preview, term, json   what people and programs read
//! ```
//!
//! One file per verb; each owns its options, its help and its whole life. Results go to stdout,
//! everything else to stderr. Exit status: 0 done, 1 failed (one line says why), 2 misused.

mod args;
mod error;
mod flight;
mod format;
mod heap;
mod json;
mod machine;
mod misuse;
mod names;
mod output;
mod preview;
mod progress;
mod sql;
mod term;
mod types;
mod units;
mod verb;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(said) => return misuse::answer(&said),
    };
    let mut out = term::stdout();
    let result = args.global.start_log(args.verb.log_level());
    let result = result.and_then(|()| args.verb.run(&args.global, &mut out));
    // What was printed before a failure still belongs to the user.
    let flushed = out.flush().map_err(error::Error::from);
    match result.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            ExitCode::from(error.status())
        }
    }
}
