//! Files and streams ⇄ record batches.
//!
//! Reading and writing go batch by batch: memory stays bounded however long the table is.

mod infer;
mod read;
mod start;
mod target;
mod write;

use std::path::Path;

pub(crate) use read::{INFER_ROWS, ReadOptions, Source};
pub(crate) use target::Target;
pub(crate) use write::Writer;

use crate::error::{Error, Result};

/// How tables lie in files. (The variants have no doc comments: each would be a paragraph in every
/// verb's help.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    // Apache Parquet (.parquet, .pq).
    Parquet,
    // Comma-separated values with a header (.csv; .tsv by tabs).
    Csv,
    // Arrow IPC file (.arrow, .feather, .ipc).
    #[value(alias = "feather", alias = "ipc")]
    Arrow,
    // Arrow IPC stream (.arrows).
    #[value(alias = "stream")]
    Arrows,
    // One JSON object per line (.jsonl, .ndjson).
    #[value(alias = "ndjson", alias = "json")]
    Jsonl,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Arrows => "arrows",
            Self::Jsonl => "jsonl",
        })
    }
}

impl Format {
    /// The format that the file's name tells.
    ///
    /// # Errors
    /// Misuse, when it tells none.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Ok(Self::Parquet),
            "csv" | "tsv" => Ok(Self::Csv),
            "arrow" | "feather" | "ipc" => Ok(Self::Arrow),
            "arrows" => Ok(Self::Arrows),
            "jsonl" | "ndjson" | "json" => Ok(Self::Jsonl),
            _ => Err(Error::usage(format!(
                "{} does not tell its format: give --format parquet, csv, arrow, arrows or jsonl",
                path.display()
            ))),
        }
    }

    /// True for what people can read as it is.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Jsonl)
    }
}

/// What parts the fields of a CSV file with this name, unless the user says otherwise.
pub(crate) fn delimiter_of(path: &Path, given: Option<u8>) -> u8 {
    let tabs = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    given.unwrap_or(if tabs { b'\t' } else { b',' })
}

/// One ASCII character, or `\t`, for the command line.
pub(crate) fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" | b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | b'"') => Ok(*byte),
        _ => Err(format!("{text:?} is not one ASCII character or \\t")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_format() {
        for (name, format) in [
            ("a.parquet", Format::Parquet),
            ("a.CSV", Format::Csv),
            ("a.tsv", Format::Csv),
            ("a.feather", Format::Arrow),
            ("a.arrows", Format::Arrows),
            ("a.b.jsonl", Format::Jsonl),
        ] {
            assert_eq!(Format::of(Path::new(name)).unwrap(), format, "{name}");
        }
        assert_eq!(Format::of(Path::new("a.xlsx")).unwrap_err().status(), 2);
        assert_eq!(Format::of(Path::new("parquet")).unwrap_err().status(), 2);
    }

    #[test]
    fn a_tsv_is_parted_by_tabs() {
        assert_eq!(delimiter_of(Path::new("a.tsv"), None), b'\t');
        assert_eq!(delimiter_of(Path::new("a.csv"), None), b',');
        assert_eq!(delimiter_of(Path::new("a.tsv"), Some(b';')), b';');
        assert_eq!(parse_delimiter("\\t"), Ok(b'\t'));
        assert!(parse_delimiter("ab").is_err());
    }
}
