//! Sheaf as a peer among peers: the contract is in `bench/peers/README.md`.

use std::process::ExitCode;

use clap::Parser;
use sheaf_bench::{Outcome, peer, process};

fn main() -> ExitCode {
    let outcome = match process::role() {
        Some((role, arguments)) => child(&role, &arguments),
        None => peer::run(&peer::Options::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sheaf-peer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn child(role: &str, arguments: &[String]) -> Outcome<()> {
    match role {
        "store" => process::serve(arguments),
        "reader" => peer::read_table(arguments),
        "small-reader" => peer::read_small(arguments),
        _ => Err(format!("no role {role}").into()),
    }
}
