//! A command line that makes no sense, told in one line: clap answers in paragraphs.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Args;
use crate::error::Error;

/// What clap says, and what we say for it.
const WORDS: [(&str, &str); 4] = [
    ("the following required arguments were not provided:", "missing:"),
    ("unrecognized subcommand", "there is no verb"),
    ("subcommand", "verb"),
    ("invalid digit found in string", "it is no whole number"),
];

/// Prints the help or the version that was asked for, or says what was wrong.
pub(crate) fn answer(said: &clap::Error) -> ExitCode {
    if !said.use_stderr() {
        // A reader that has gone has read enough.
        let _ = said.print();
        return ExitCode::SUCCESS;
    }
    let error = Error::usage(message(said, std::env::args_os().skip(1)));
    error.report();
    ExitCode::from(error.status())
}

/// What was wrong, and which help says how it is right.
fn message(said: &clap::Error, words: impl Iterator<Item = OsString>) -> String {
    let verbs = verbs();
    let what = match said.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("a verb is missing: {}", verbs.join(", "))
        }
        _ => in_one_line(&said.render().to_string()),
    };
    let verb = words.into_iter().find_map(|word| verbs.iter().find(|verb| word == verb.as_str()));
    let verb = verb.map_or(String::new(), |verb| format!(" {verb}"));
    format!("{what} (see sheaf{verb} --help)")
}

/// The verbs that are for people.
fn verbs() -> Vec<String> {
    let command = Args::command();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| verb.get_name().to_owned()).collect()
}

/// The complaint and a hint at what was meant, without the usage that follows.
fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut said = String::new();
    for line in lines.take_while(|line| !line.starts_with("Usage:")) {
        // That anything may follow `--` is no help to those who mistyped an option.
        if line.starts_with("For more information") || line.starts_with("tip: to pass") {
            continue;
        }
        let parted = if line.starts_with("tip: ") { "; " } else { " " };
        let line = line.trim_start_matches("error: ").trim_start_matches("tip: ");
        said.push_str(if said.is_empty() { "" } else { parted });
        said.push_str(line);
    }
    WORDS.iter().fold(said, |text, (theirs, ours)| text.replace(theirs, ours))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<_> = line.split_whitespace().collect();
        let said = Args::try_parse_from(&words).unwrap_err();
        message(&said, words.into_iter().skip(1).map(OsString::from))
    }

    #[test]
    fn misuse_is_one_line_that_leads_to_the_help() {
        const JSNO: &str = "unexpected argument '--jsno' found; a similar argument exists: \
            '--json' (see sheaf ls --help)";
        const XLS: &str = "invalid value 'xls' for '--format <FORMAT>' [possible values: parquet, \
            csv, arrow, arrows, jsonl] (see sheaf get --help)";
        for (line, message) in [
            ("sheaf put --foo", "unexpected argument '--foo' found (see sheaf put --help)"),
            ("sheaf ls --jsno", JSNO),
            ("sheaf lss", "there is no verb 'lss'; a similar verb exists: 'ls' (see sheaf --help)"),
            ("sheaf put", "missing: <NAME> <FILE> (see sheaf put --help)"),
            ("sheaf get t --format xls", XLS),
        ] {
            assert_eq!(told(line), message, "{line}");
        }
    }

    #[test]
    fn without_a_verb_those_for_people_are_named() {
        let told = told("sheaf");

        assert!(told.contains(": demo, serve, put, get, ls,"), "{told}");
        assert!(!told.contains("demo-reader"), "{told}");
    }
}
