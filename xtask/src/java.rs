//! Java's own client of Arrow Flight beside the program: the Maven project in `tests/java`.

use crate::count::Count;
use crate::run::{build_programs, command, root, run_counted, works};

/// Builds the program and the tests, and runs them.
pub(crate) fn tests(count: &mut Count) -> Result<Option<&'static str>, String> {
    if !works(command("mvn", &["--version"])) || !works(command("javac", &["--version"])) {
        return Ok(Some("no Maven, or no JDK 17 or newer, is at hand"));
    }
    build_programs()?;
    let words = ["--batch-mode", "--no-transfer-progress", "-Dstyle.color=never", "test"];
    let mut test = command("mvn", &words);
    test.args(["--file", "tests/java/pom.xml"]);
    test.env("SHEAF_BIN", root().join("target/debug/sheaf"));
    run_counted(test, count)?;
    Ok(None)
}
