//! The checks, one function each.

use crate::count::Count;
use crate::run::{build_programs, command, root, run, run_counted};
use crate::{java, python, tools};

/// How a step ended well: done, or skipped and why.
type Outcome = Result<Option<&'static str>, String>;

/// One check.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// True when its own output tells how many tests passed.
    pub(crate) counts_itself: bool,
    pub(crate) run: fn(&mut Count) -> Outcome,
}

const fn check(name: &'static str, run: fn(&mut Count) -> Outcome) -> Step {
    Step { name, counts_itself: false, run }
}

const fn tests(name: &'static str, run: fn(&mut Count) -> Outcome) -> Step {
    Step { name, counts_itself: true, run }
}

const FORMAT: Step = check("format", format);
const LINTS: Step = check("lints", lints);
const TESTS: Step = tests("tests", all_tests);
pub(crate) const PYTHON: Step = tests("python", python::tests);
pub(crate) const JAVA: Step = tests("java", java::tests);
pub(crate) const DENY: Step = check("licences and sources", deny);
pub(crate) const FUZZ: Step = check("fuzz", fuzz);
pub(crate) const ASAN: Step = tests("address sanitizer", asan);

/// Everything that must be green.
pub(crate) const ALL: &[Step] = &[FORMAT, LINTS, TESTS, PYTHON, JAVA, DENY, FUZZ, ASAN];

/// What a change in the making needs.
pub(crate) const QUICK: &[Step] = &[FORMAT, LINTS, TESTS];

const TARGET: &str = "x86_64-unknown-linux-gnu";
const NO_NIGHTLY: &str = "no nightly toolchain is installed";

fn format(_: &mut Count) -> Outcome {
    run(command("cargo", &["fmt", "--all", "--check"]))?;
    Ok(None)
}

fn lints(_: &mut Count) -> Outcome {
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run(command("cargo", &clippy))?;
    Ok(None)
}

fn all_tests(count: &mut Count) -> Outcome {
    // The whole-system tests start the program itself.
    build_programs()?;
    run_counted(command("cargo", &["test", "--workspace", "--no-fail-fast"]), count)?;
    Ok(None)
}

fn deny(_: &mut Count) -> Outcome {
    let deny = tools::cargo_tool("cargo-deny", "0.20.2")?;
    // Advisories need a database that is not at hand everywhere; these do not.
    let mut check = command(&deny.to_string_lossy(), &["check"]);
    check.args(["licenses", "bans", "sources"]);
    run(check)?;
    Ok(None)
}

fn fuzz(_: &mut Count) -> Outcome {
    if !tools::has_nightly() {
        return Ok(Some(NO_NIGHTLY));
    }
    let fuzz = tools::cargo_tool("cargo-fuzz", "0.13.2")?;
    let seconds = std::env::var("SHEAF_FUZZ_SECONDS").unwrap_or_else(|_| "20".into());
    for target in ["ipc_open", "ipc_ingest", "protocol", "flight_put"] {
        // What it finds on the way goes to a folder of its own; the seeds are left as they are.
        let found = format!("target/fuzz-corpus/{target}");
        std::fs::create_dir_all(root().join(&found)).map_err(|error| error.to_string())?;
        let seeds = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(root().join(&seeds)).map_err(|error| error.to_string())?;
        let words = ["+nightly", "fuzz", "run", target, &found, &seeds, "--"];
        let mut run_target = command("cargo", &words);
        run_target.arg(format!("-max_total_time={seconds}"));
        run_target.args(["-rss_limit_mb=2048", "-print_final_stats=1"]);
        let path = fuzz.parent().map(|folder| folder.to_string_lossy().into_owned());
        let old = std::env::var("PATH").unwrap_or_default();
        run_target.env("PATH", format!("{}:{old}", path.unwrap_or_default()));
        run(run_target)?;
    }
    Ok(None)
}

fn asan(count: &mut Count) -> Outcome {
    if !tools::has_nightly() {
        return Ok(Some(NO_NIGHTLY));
    }
    // What maps memory, and the kernels of the sort.
    let store = ["--package", "sheaf-store", "--lib"];
    let sort = ["--package", "sheaf-sort", "--tests"];
    for (package, only) in [(store, &["memory::", "index::reader"][..]), (sort, &[])] {
        let mut test = command("cargo", &["+nightly", "test"]);
        test.args(package).args(["--target", TARGET, "--"]).args(only);
        test.env("RUSTFLAGS", "-Zsanitizer=address").env("CARGO_TARGET_DIR", "target/asan");
        // Threads of a test's own store outlive the test binary's main: no leak of ours.
        test.env("ASAN_OPTIONS", "detect_leaks=0");
        run_counted(test, count)?;
    }
    Ok(None)
}
