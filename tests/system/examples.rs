//! Every example runs, and ends well.

use std::path::{Path, PathBuf};
use std::process::Command;

use sheaf_tests::built;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The examples' names, by their files.
fn examples() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let mut names: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_example_runs_and_succeeds() {
    let names = examples();
    assert!(!names.is_empty());
    for name in names {
        let program = built().join("examples").join(&name);
        assert!(program.exists(), "build it first: cargo build --profile test --examples");

        let output = Command::new(program).env_remove("SHEAF_STORE").output().unwrap();

        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {}\n{said}", output.status);
    }
}

#[test]
fn every_example_is_in_the_readme() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();

    for name in examples() {
        assert!(readme.contains(&format!("({name}.rs)")), "{name}");
    }
}
