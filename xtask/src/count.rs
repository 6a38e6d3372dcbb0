//! Counting tests from what test runners print.

/// Tests passed, failed and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Count {
    /// Adds what a line says, if it is how `cargo test`, pytest or Maven tells how tests ended.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some((_, counts)) = line.split_once("Tests run: ") {
            return self.read_maven(counts);
        }
        let line = line.trim().trim_matches('=').trim();
        let cargo = line.strip_prefix("test result: ");
        // Such as "12 passed, 3 skipped in 4.56s".
        let pytest = line.rsplit_once(" in ").map(|(counts, _)| counts);
        let pytest = pytest.filter(|counts| counts.starts_with(|c: char| c.is_ascii_digit()));
        for part in cargo.or(pytest).unwrap_or_default().split([';', '.', ',']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" | "error" | "errors" => self.failed += number,
                "ignored" | "skipped" | "deselected" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Such as "13, Failures: 0, Errors: 0, Skipped: 1"; a class's own line says its time, too.
    fn read_maven(&mut self, counts: &str) {
        let numbers: Option<Vec<u64>> =
            counts.split(", ").map(|part| part.rsplit(' ').next()?.parse().ok()).collect();
        if let Some([all, failures, errors, skipped]) = numbers.as_deref() {
            self.passed += all - failures - errors - skipped;
            self.failed += failures + errors;
            self.skipped += skipped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted_and_others_are_not() {
        let mut count = Count::default();

        count.read("test result: ok. 12 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out");
        count.read("test a_test_passed ... ok");

        assert_eq!(count, Count { passed: 12, failed: 1, skipped: 3 });
    }

    #[test]
    fn what_pytest_says_is_counted_too() {
        let mut count = Count::default();

        count.read("1 failed, 12 passed, 3 skipped, 2 warnings in 4.56s");
        count.read("===== 2 passed in 0.10s =====");
        count.read("built in 3 s");

        assert_eq!(count, Count { passed: 14, failed: 1, skipped: 3 });
    }

    #[test]
    fn what_maven_says_of_all_tests_is_counted_once() {
        let mut count = Count::default();

        count.read(
            "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 1.2 s -- in A",
        );
        count.read("[WARNING] Tests run: 13, Failures: 1, Errors: 2, Skipped: 3");

        assert_eq!(count, Count { passed: 7, failed: 3, skipped: 3 });
    }
}
