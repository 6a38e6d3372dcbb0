//! What a verb can fail with, told in one line.

use std::path::Path;

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

/// The result of a verb, and of everything under it.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store, or the way to it.
    #[error(transparent)]
    Store(#[from] sheaf_store::Error),
    /// Arrow data that can't be read or written.
    #[error(transparent)]
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

    /// The same error, with the file it is about.
    pub(crate) fn of(path: &Path) -> impl Fn(Self) -> Self {
        move |error| Self::About(path.display().to_string(), Box::new(error))
    }

    /// The process's exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::About(_, error) => error.status(),
            _ => 1,
        }
    }

    /// Says it on stderr, in one line.
    pub(crate) fn report(&self) {
        if !matches!(self, Self::Told) {
            eprintln!("sheaf: {}", one_line(&self.to_string()));
        }
    }
}

/// Some libraries answer in paragraphs, and data may be quoted in a message.
fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    crate::term::printable(&lines.join("; ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line("first\n  second\n\nthird\n"), "first; second; third");
    }

    #[test]
    fn only_misuse_has_status_two() {
        assert_eq!(Error::usage("x").status(), 2);
        assert_eq!(Error::of(Path::new("f"))(Error::usage("x")).status(), 2);
        assert_eq!(Error::failed("x").status(), 1);
    }
}
