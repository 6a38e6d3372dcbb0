//! Tools that the checks need and a new machine lacks: installed once, under `target/tools`.

use std::path::PathBuf;

use crate::run::{command, root, run, works};

/// The folder that `cargo install` puts tools into.
fn folder() -> PathBuf {
    root().join("target/tools")
}

/// A cargo tool of this version: the one that is there, or a fresh one.
pub(crate) fn cargo_tool(name: &str, version: &str) -> Result<PathBuf, String> {
    let program = folder().join("bin").join(name);
    if program.exists() {
        return Ok(program);
    }
    let target = root().join("target");
    // Unoptimised: it is used for seconds, and an optimised build takes minutes.
    let mut install = command(
        "cargo",
        &["install", "--quiet", "--locked", "--debug", name, "--version", version, "--root"],
    );
    install.arg(folder()).env("CARGO_TARGET_DIR", target.join("tools/build"));
    run(install)?;
    // Its build is of no further use and large.
    let _ = std::fs::remove_dir_all(target.join("tools/build"));
    Ok(program)
}

/// Whether a nightly toolchain is at hand.
pub(crate) fn has_nightly() -> bool {
    works(command("cargo", &["+nightly", "--version"]))
}
