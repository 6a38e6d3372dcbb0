//! Opens a file or a stream as record batches.
//!
//! The types of text formats are inferred from the first rows. What does not fit them later is an
//! error that says so, never a value that silently becomes null or a column that is left out.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, IsTerminal, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::infer::{csv_format, infer};
use super::{Format, delimiter_of, start};
use crate::error::{Error, Result};
use crate::progress::Measure;

/// Rows per batch where we choose: enough to make the overhead vanish, few enough to share out.
const BATCH_ROWS: usize = 64 << 10;

/// Rows that types are inferred from, unless the user says otherwise.
pub(crate) const INFER_ROWS: usize = 100_000;

/// How to read.
#[derive(Clone, Debug)]
pub(crate) struct ReadOptions {
    /// The format, where the name does not tell it.
    pub(crate) format: Option<Format>,
    /// CSV: the first line has the names.
    pub(crate) header: bool,
    /// CSV: what parts the fields, where the name does not tell it.
    pub(crate) delimiter: Option<u8>,
    /// CSV: the word for null, besides nothing at all.
    pub(crate) null: Option<String>,
    /// CSV, JSON: how many rows are looked at for the types; all when `None`.
    pub(crate) infer_rows: Option<usize>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        let infer_rows = Some(INFER_ROWS);
        Self { format: None, header: true, delimiter: None, null: None, infer_rows }
    }
}

/// An open table.
pub(crate) struct Source {
    /// Its schema.
    pub(crate) schema: SchemaRef,
    /// Its rows.
    pub(crate) batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>,
    /// How much there is to read.
    pub(crate) measure: Measure,
    /// How many bytes were read so far, where that is the measure.
    pub(crate) read_bytes: Arc<AtomicU64>,
}

impl Source {
    /// Opens a file; `-` is stdin.
    pub(crate) fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        if path == Path::new("-") {
            return Self::stdin(options).map_err(Error::of(path));
        }
        let facts = path.metadata().map_err(|error| Error::of(path)(error.into()))?;
        if facts.is_dir() {
            return Err(Error::of(path)(Error::failed("is a folder: put its files one by one")));
        }
        let format = options.format.map_or_else(|| Format::of(path), Ok)?;
        Self::file(path, format, options).map_err(Error::of(path))
    }

    fn stdin(options: &ReadOptions) -> Result<Self> {
        let format = options.format.unwrap_or(Format::Arrows);
        let stdin = std::io::stdin();
        if stdin.is_terminal() && !format.is_text() {
            return Err(Error::usage(
                "is a terminal: pipe an Arrow stream or file in, or name a file",
            ));
        }
        Self::stream(stdin, format, options)
    }

    fn file(path: &Path, format: Format, options: &ReadOptions) -> Result<Self> {
        let mut file = File::open(path)?;
        let total = file.metadata()?;
        let options = ReadOptions {
            delimiter: Some(delimiter_of(path, options.delimiter)),
            ..options.clone()
        };
        // What cannot be read twice (a fifo, /dev/stdin) is a stream, whatever it holds.
        if !total.is_file() {
            return Self::stream(file, format, &options);
        }
        if format == Format::Parquet {
            return parquet(file);
        }
        let read_bytes = Arc::new(AtomicU64::new(0));
        let measure = Measure::Bytes(total.len());
        let (schema, batches): Parts = match format {
            Format::Parquet | Format::Arrow | Format::Arrows => {
                // Both kinds of Arrow files travel under both names.
                let is_file = start::is_arrow_file(&mut file)?;
                let reader = BufReader::with_capacity(1 << 20, Counted::new(file, &read_bytes));
                if is_file { arrow_file(reader)? } else { arrow_stream(reader)? }
            }
            Format::Csv | Format::Jsonl => {
                let schema = infer(format, &file, &options)?;
                file.rewind()?;
                text(format, schema, Counted::new(file, &read_bytes), &options)?
            }
        };
        Ok(Self { schema, batches, measure, read_bytes })
    }

    /// Opens a stream that can be read once.
    fn stream(input: impl Read + 'static, format: Format, options: &ReadOptions) -> Result<Self> {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let mut input = Counted::new(input, &read_bytes);
        let (schema, batches) = match format {
            Format::Parquet => {
                return Err(Error::usage(
                    "Parquet can't be read from a pipe, for its index is at its end: put the file",
                ));
            }
            Format::Arrow | Format::Arrows => {
                let first = start::of_stream(&mut input)?;
                arrow_stream(BufReader::with_capacity(1 << 20, Cursor::new(first).chain(input)))?
            }
            Format::Csv | Format::Jsonl => {
                let mut seen = Vec::new();
                let schema = infer(format, Tee { input: &mut input, seen: &mut seen }, options)?;
                text(format, schema, Cursor::new(seen).chain(input), options)?
            }
        };
        Ok(Self { schema, batches, measure: Measure::Endless, read_bytes })
    }

    /// The work done after this many rows, in the source's measure.
    pub(crate) fn position(&self, rows: u64) -> u64 {
        match self.measure {
            Measure::Rows(_) => rows,
            _ => self.read_bytes.load(Ordering::Relaxed),
        }
    }
}

type Parts = (SchemaRef, Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>);

fn parts(reader: impl RecordBatchReader + 'static) -> Parts {
    (reader.schema(), Box::new(reader))
}

fn parquet(file: File) -> Result<Source> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let rows = builder.metadata().file_metadata().num_rows();
    let (schema, batches) = parts(builder.with_batch_size(BATCH_ROWS).build()?);
    let measure = Measure::Rows(u64::try_from(rows).unwrap_or(0));
    Ok(Source { schema, batches, measure, read_bytes: Arc::default() })
}

fn arrow_file(reader: impl BufRead + Seek + 'static) -> Result<Parts> {
    Ok(parts(FileReader::try_new(reader, None)?))
}

fn arrow_stream(reader: impl BufRead + 'static) -> Result<Parts> {
    Ok(parts(StreamReader::try_new(reader, None)?))
}

fn text(
    format: Format,
    schema: SchemaRef,
    input: impl Read + 'static,
    options: &ReadOptions,
) -> Result<Parts> {
    let input = BufReader::with_capacity(1 << 20, input);
    let (schema, batches): Parts = if format == Format::Csv {
        let builder = arrow_csv::ReaderBuilder::new(schema).with_format(csv_format(options)?);
        parts(builder.with_batch_size(BATCH_ROWS).build_buffered(input)?)
    } else {
        // Strict: a key that inference has not seen is an error, not left out.
        let builder = arrow_json::ReaderBuilder::new(schema).with_strict_mode(true);
        parts(builder.with_batch_size(BATCH_ROWS).build(input)?)
    };
    let Some(rows) = options.infer_rows else { return Ok((schema, batches)) };
    let hint = move |error: ArrowError| {
        let error = Error::from(error);
        ArrowError::ParseError(format!(
            "{error}: types were inferred from the first {rows} rows; --infer-rows 0 reads all"
        ))
    };
    Ok((schema, Box::new(batches.map(move |batch| batch.map_err(hint)))))
}

/// Counts what is read.
struct Counted<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    fn new(input: R, bytes: &Arc<AtomicU64>) -> Self {
        Self { input, bytes: bytes.clone() }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.input.seek(to)
    }
}

/// Keeps what is read, so that it can be read again.
struct Tee<'a, R> {
    input: &'a mut R,
    seen: &'a mut Vec<u8>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.seen.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
