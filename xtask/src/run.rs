//! Running steps: each prints as it goes; the first that fails ends the run.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::count::Count;
use crate::steps::Step;

/// Runs the steps in order, then prints the count.
pub(crate) fn all(steps: &[Step]) -> ExitCode {
    let start = Instant::now();
    let mut count = Count::default();
    let mut failed = None;
    for step in steps {
        println!("\n== {} ==", step.name);
        let begin = Instant::now();
        let outcome = (step.run)(&mut count);
        let seconds = begin.elapsed().as_secs();
        match outcome {
            Ok(Some(why)) => {
                count.skipped += 1;
                println!("== {}: skipped: {why} ==", step.name);
            }
            Ok(None) => {
                count.passed += u64::from(!step.counts_itself);
                println!("== {}: ok, {seconds} s ==", step.name);
            }
            Err(error) => {
                count.failed += u64::from(count.failed == 0);
                eprintln!("== {}: FAILED after {seconds} s: {error} ==", step.name);
                failed = Some(step.name);
                break;
            }
        }
    }
    println!("\nall of it took {} s", start.elapsed().as_secs());
    println!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
    match failed {
        Some(name) => {
            eprintln!("xtask: {name} failed");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command in the workspace's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    // What this program was started with is not for those it starts: another toolchain may follow.
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC", "CARGO_MANIFEST_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    println!("$ {}", said(&command));
    let status = command.status().map_err(|error| format!("{}: {error}", said(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", said(&command))) }
}

/// Builds the programs, as tests start them. All at once: with the features of all of them, as the
/// tests are built, so that nothing is compiled twice.
pub(crate) fn build_programs() -> Result<(), String> {
    run(command("cargo", &["build", "--workspace", "--bins", "--profile", "test"]))
}

/// Runs a test command to its end and counts what it says.
pub(crate) fn run_counted(mut command: Command, count: &mut Count) -> Result<(), String> {
    println!("$ {}", said(&command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", said(&command)))?;
    let output = child.stdout.take().ok_or("no output to read")?;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        count.read(&line);
        println!("{line}");
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", said(&command))) }
}

/// Whether a command runs and succeeds; its output is not shown.
pub(crate) fn works(mut command: Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn said(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
