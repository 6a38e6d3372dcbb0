//! One finding of the doctor.

use serde_json::{Value, json};

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, slower or less comfortably.
    Warn,
    /// A store can't work so.
    Fail,
}

/// What was looked at, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// What was looked at.
    pub(super) name: &'static str,
    /// How it stands.
    pub(super) state: State,
    /// What was measured.
    pub(super) found: String,
    /// The commands that mend it, one a line.
    pub(super) fix: Option<String>,
}

impl Check {
    /// All is well.
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), fix: None }
    }

    /// It could be better.
    pub(super) fn warn(
        name: &'static str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { name, state: State::Warn, found: found.into(), fix: Some(for_user(fix.into())) }
    }

    /// It can't work so.
    pub(super) fn fail(
        name: &'static str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { name, state: State::Fail, found: found.into(), fix: Some(for_user(fix.into())) }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        json!({ "name": self.name, "state": state, "found": self.found, "fix": self.fix })
    }
}

/// The commands as this user gives them.
fn for_user(fix: String) -> String {
    plain_for_root(fix, rustix::process::geteuid().is_root())
}

/// Root needs no `sudo`, and often has none.
fn plain_for_root(fix: String, root: bool) -> String {
    if root { fix.replace("sudo ", "") } else { fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_not_sent_to_sudo() {
        let fix = || "echo 1 | sudo tee /f\nsudo sysctl -w a=1".to_owned();

        assert_eq!(plain_for_root(fix(), true), "echo 1 | tee /f\nsysctl -w a=1");
        assert_eq!(plain_for_root(fix(), false), fix());
    }
}
