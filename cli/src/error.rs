//! What a verb can fail with, told in one line.

use std::io::ErrorKind;
use std::path::Path;

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

/// The result of a verb, and of everything under it.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store, or the way to it.
    #[error("{}", in_our_words(.0.message()))]
    Store(#[from] sheaf_store::Error),
    /// Arrow data that can't be read or written.
    #[error("{}", plain(.0))]
    Arrow(#[from] ArrowError),
    /// A Parquet file that can't be read or written.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// A file or a pipe.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Something, with what it was about.
    #[error("{0}: {1}")]
    About(String, #[source] Box<Error>),
    /// A failure of the program's own.
    #[error("{0}")]
    Failed(String),
    /// Options that make no sense together, or a value that none can take: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// Failed, and everything was said already.
    #[error("failed")]
    Told,
}

impl Error {
    /// A failure of the program's own.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// The command line was wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// The same error, with the file it is about; `-` is stdin.
    pub(crate) fn of(path: &Path) -> impl Fn(Self) -> Self {
        let stdin = path == Path::new("-");
        let shown = if stdin { "stdin".into() } else { path.display().to_string() };
        move |error| Self::About(shown.clone(), Box::new(error))
    }

    /// The process's exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::About(_, error) => error.status(),
            _ => 1,
        }
    }

    /// The error in one line.
    pub(crate) fn line(&self) -> String {
        one_line(&without_numbers(&self.to_string()))
    }

    /// Says it on stderr, in one line.
    pub(crate) fn report(&self) {
        if !matches!(self, Self::Told) {
            eprintln!("sheaf: {}", self.line());
        }
    }
}

/// What the library calls as its own callers know it, and what the command line calls the same.
const WORDS: [(&str, &str); 8] = [
    ("choose another name, delete it,", "choose another name, remove it with `sheaf rm`,"),
    ("put with replace", "put with --replace"),
    ("put it again with replace", "put it again with --replace"),
    ("create it, or wait for it", "put it, or wait for it with `sheaf wait`"),
    ("opaque bytes, not a table: read it with as_bytes", "bytes, not a table: see `sheaf get`"),
    ("release one", "end a reader"),
    ("seal or abort one", "let a writer end"),
    ("delete one", "remove one with `sheaf rm`"),
];

/// The library's message, as those read it who know the command line alone.
fn in_our_words(message: &str) -> String {
    WORDS.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Arrow's message without the name of its own kind.
fn plain(error: &ArrowError) -> String {
    match error {
        ArrowError::CsvError(text)
        | ArrowError::IpcError(text)
        | ArrowError::JsonError(text)
        | ArrowError::ParseError(text) => text.clone(),
        ArrowError::IoError(_, cause) if cause.kind() == ErrorKind::UnexpectedEof => {
            "the data end too early: they were cut off".into()
        }
        other => other.to_string(),
    }
}

/// The text without the numbers that the kernel gives to its errors: their words stand beside.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// Some libraries answer in paragraphs, and data may be quoted in a message.
fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    crate::term::printable(&lines.join("; ")).into_owned()
}

#[cfg(test)]
mod tests {
    use sheaf_store::{PutOptions, ServeOptions, Server};

    use super::*;

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line("first\n  second\n\nthird\n"), "first; second; third");
    }

    #[test]
    fn the_kernels_numbers_are_left_out() {
        let missing = std::fs::read("/no/such/file").unwrap_err();

        let line = Error::of(Path::new("-"))(missing.into()).line();

        assert_eq!(line, "stdin: No such file or directory");
        assert_eq!(without_numbers("a (os error 2); b (os error 13)"), "a; b");
    }

    #[test]
    fn what_the_library_says_of_its_api_is_said_of_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let options = ServeOptions::new(folder.path().join("store.sock"), 8 << 20);
        let server = Server::spawn(options).unwrap();
        let store = sheaf_store::connect(&server.url()).unwrap();
        let put = |name: &str, len| store.put_bytes(name, &vec![1; len], &PutOptions::default());
        put("old", 1).unwrap();
        put("large", 2 << 20).unwrap();
        let _held = store.get("large").unwrap();
        let _draft = store.create("new", 2 << 20, &PutOptions::default()).unwrap();

        let errors = [
            (put("old", 1).map(drop), "remove it with `sheaf rm`, or put with --replace"),
            (put("new", 1).map(drop), "wait for it, or put with --replace"),
            (store.get("none").map(drop), "put it, or wait for it with `sheaf wait`"),
            (store.get("old").unwrap().table().map(drop), "not a table: see `sheaf get`"),
            (put("more", 6 << 20).map(drop), "end a reader or let a writer end or remove one"),
        ];

        for (error, ours) in errors {
            let line = Error::from(error.unwrap_err()).line();
            assert!(line.contains(ours), "{line}");
        }
    }

    #[test]
    fn only_misuse_has_status_two() {
        assert_eq!(Error::usage("x").status(), 2);
        assert_eq!(Error::of(Path::new("f"))(Error::usage("x")).status(), 2);
        assert_eq!(Error::failed("x").status(), 1);
    }
}
