//! Checks and chores. `cargo xtask test` is everything that must be green; the others are parts.
//!
//! It installs what it needs under `target/tools`, `target/python` and Maven's own folder, and says
//! what it skips and why.

mod count;
mod java;
mod python;
mod run;
mod steps;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  test     every check: format, lints, tests (loom among them), Python, Java, licences, fuzz,
           address sanitizer
  quick    format, lints and tests
  python   the Python package: a wheel, and its tests beside current packages and pyarrow 11
  java     Java's client of Arrow Flight beside the program
  fuzz     a short fuzz of each target (seconds: SHEAF_FUZZ_SECONDS, 20 unless set)
  asan     the mapping code and the sort under the address sanitizer (needs a nightly)
  deny     licences, sources and duplicates of the dependencies";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let steps: &[steps::Step] = match command.as_str() {
        "test" => steps::ALL,
        "quick" => steps::QUICK,
        "python" => &[steps::PYTHON],
        "java" => &[steps::JAVA],
        "fuzz" => &[steps::FUZZ],
        "asan" => &[steps::ASAN],
        "deny" => &[steps::DENY],
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    run::all(steps)
}
