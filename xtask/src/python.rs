//! The Python package's tests: a wheel built as the tests are, in virtual environments of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::count::Count;
use crate::run::{build_programs, command, root, run, run_counted, works};

/// A virtual environment and what is tested in it.
struct Environment {
    name: &'static str,
    /// Packages, as pip takes them.
    packages: &'static [&'static str],
    /// Folders of tests, each for a pytest of its own.
    tests: &'static [&'static str],
    /// The first minor version of Python 3 that its packages do not have wheels for.
    below: u32,
}

/// The packages that people hand data to and from, as they are now, and what checks types.
const CURRENT: Environment = Environment {
    name: "current",
    packages: &[
        "pyarrow",
        "polars",
        "pandas",
        "duckdb",
        "numpy",
        "mypy",
        "adbc-driver-flightsql",
        "adbc-driver-manager",
    ],
    tests: &["python/tests", "tests/flight"],
    below: u32::MAX,
};

/// The last pyarrow that has Plasma, for people who move one step at a time.
const PLASMA: Environment = Environment {
    name: "pyarrow-11",
    packages: &["pyarrow==11.0.0", "numpy<2", "pandas<2.3"],
    tests: &["python/tests/plasma"],
    below: 12,
};

/// Builds the wheel, installs it into each environment, and runs the tests there.
pub(crate) fn tests(count: &mut Count) -> Result<Option<&'static str>, String> {
    let Some(python) = interpreter(u32::MAX) else {
        return Ok(Some("no Python 3.10 or newer with venv is at hand"));
    };
    build_programs()?;
    let wheel = build_wheel(python)?;
    for environment in [CURRENT, PLASMA] {
        let Some(python) = interpreter(environment.below) else {
            println!("skipped: {}: this Python is too new for it", environment.name);
            count.skipped += 1;
            continue;
        };
        let program = prepare(python, &environment)?;
        run(pip(&program, &["--force-reinstall", "--no-deps", &wheel.to_string_lossy()]))?;
        for folder in environment.tests {
            let mut test = command(&program, &["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
            test.arg(folder).env("PYTHONDONTWRITEBYTECODE", "1");
            test.env("SHEAF_BENCH_SQL", root().join("target/debug/sql"));
            run_counted(test, count)?;
        }
    }
    Ok(None)
}

/// A Python 3.10 or newer, older than this minor version, that can make environments.
fn interpreter(below: u32) -> Option<&'static str> {
    let suits = format!(
        "import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, {below}))"
    );
    ["python3", "python3.13", "python3.12", "python3.11", "python3.10"]
        .into_iter()
        .find(|python| works(command(python, &["-c", &suits])))
}

fn folder() -> PathBuf {
    root().join("target/python")
}

/// The wheel, in the profile of the tests, so that nothing is compiled twice.
fn build_wheel(python: &str) -> Result<PathBuf, String> {
    let tools =
        Environment { name: "build", packages: &["maturin>=1.9,<2"], tests: &[], below: u32::MAX };
    let program = prepare(python, &tools)?;
    let wheels = folder().join("wheels");
    let _ = std::fs::remove_dir_all(&wheels);
    let mut build = command(&program, &["-m", "pip", "wheel", "--quiet", "--no-deps"]);
    build.args(["--no-build-isolation", "--wheel-dir"]).arg(&wheels).arg("./python");
    let bin = Path::new(&program).parent().map(|bin| bin.display().to_string());
    let path = std::env::var("PATH").unwrap_or_default();
    build.env("PATH", format!("{}:{path}", bin.unwrap_or_default()));
    build.env("SHEAF_PROGRAM", root().join("target/debug/sheaf"));
    build.env("SHEAF_PROFILE", "dev").env("CARGO_TARGET_DIR", root().join("target"));
    run(build)?;
    let built = std::fs::read_dir(&wheels).map_err(|error| error.to_string())?;
    let wheel = built.filter_map(Result::ok).map(|entry| entry.path()).next();
    wheel.ok_or_else(|| format!("no wheel in {}", wheels.display()))
}

/// The interpreter of an environment, which is made and filled once.
fn prepare(python: &str, environment: &Environment) -> Result<String, String> {
    let place = folder().join(environment.name);
    let program = place.join("bin/python").display().to_string();
    let done = place.join("packages");
    let packages = environment.packages.join(" ");
    if std::fs::read_to_string(&done).is_ok_and(|had| had == packages) {
        return Ok(program);
    }
    let _ = std::fs::remove_dir_all(&place);
    run(command(python, &["-m", "venv", &place.to_string_lossy()]))?;
    let mut install = pip(&program, &["pytest"]);
    install.args(environment.packages);
    run(install)?;
    std::fs::write(done, packages).map_err(|error| error.to_string())?;
    Ok(program)
}

fn pip(program: &str, arguments: &[&str]) -> Command {
    let mut pip = command(program, &["-m", "pip", "install", "--quiet"]);
    pip.args(["--disable-pip-version-check"]).args(arguments);
    pip
}
