//! `sheaf get`: an object becomes a file, a stream, or something to look at.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sheaf_store::{Object, ObjectKind, Table};

use crate::args::Global;
use crate::error::{Error, Result};
use crate::format::{Format, Target, Writer, delimiter_of, parse_delimiter};
use crate::names::NameArg;
use crate::preview;
use crate::progress::{Measure, Progress};
use crate::term::{Out, stdout_is_terminal};
use crate::units::{counted, human_bytes, parse_duration};

/// Get an object: a preview on the terminal, an Arrow stream into a pipe, or a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Formats: parquet, csv (.tsv too), arrow (.feather too), arrows, jsonl; told by the file's name, or
by --format. An object that was put with --bytes is written as it is, to a pipe or to a file whose
name tells none of the formats.

Examples:
  sheaf get trades                                  look at it
  sheaf get trades -o trades.parquet
  sheaf get trades --format csv | head
  sheaf get trades | ssh far sheaf put trades -     an Arrow stream
  sheaf get later --timeout 10s -o later.arrow      wait for it
  sheaf get model -o weights.bin                    bytes as they are")]
pub(crate) struct Get {
    #[command(flatten)]
    name: NameArg,
    /// The file to write; - is stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The format to write, where the file's name does not tell it [default for a pipe: arrows].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// CSV: the character between fields [default: a comma, a tab for .tsv].
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// Wait this long for the object to come.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// The preview's first and last rows.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rows: usize,
}

impl Get {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let name = self.name.get()?;
        let file = self.output.as_deref().filter(|path| *path != Path::new("-"));
        let format = match (self.format, file) {
            (Some(format), _) => Some(format),
            (None, Some(path)) => Format::of(path).ok(),
            (None, None) => None,
        };
        let client = global.connect()?;
        let object = match self.timeout {
            Some(timeout) => client.get_timeout(name.as_bytes(), timeout)?,
            None => client.get(name.as_bytes())?,
        };
        if object.info().kind == ObjectKind::Bytes {
            return self.bytes(&object, file, out);
        }
        let table = object.table()?;
        match (file, format) {
            (Some(path), format) => {
                let mut target = Target::create(path)?;
                let format = format.map_or_else(|| Format::of(path), Ok)?;
                self.write(&object, &table, format, path, &mut target)?;
                target.finish()?;
                let rows = counted(table.num_rows(), "row");
                eprintln!("sheaf: wrote {name} to {}: {rows}", path.display());
                Ok(())
            }
            (None, None) if stdout_is_terminal() => self.preview(&object, &table, out),
            (None, format) => {
                let format = format.unwrap_or(Format::Arrows);
                if stdout_is_terminal() && !format.is_text() {
                    return Err(Error::usage(format!(
                        "{format} is not for a terminal: give -o FILE, or pipe it on"
                    )));
                }
                self.write(&object, &table, format, Path::new("-"), out)
            }
        }
    }

    fn write(
        &self,
        object: &Object,
        table: &Table,
        format: Format,
        path: &Path,
        mut out: impl Write + Send,
    ) -> Result<()> {
        if format == Format::Arrow {
            // Nothing is decoded: dictionaries and metadata stay as they were put.
            out.write_all(object.as_bytes())?;
            return Ok(out.flush()?);
        }
        let name = &object.info().name;
        let measure = Measure::Rows(table.num_rows());
        let progress = Progress::start(&format!("get {name}"), measure);
        let delimiter = delimiter_of(path, self.delimiter);
        let mut writer = Writer::new(table.schema(), format, delimiter, out)?;
        let mut rows = 0;
        for batch in table.batches() {
            let batch = batch?;
            writer.write(&batch)?;
            rows += batch.num_rows() as u64;
            progress.set(rows);
        }
        writer.finish().map(drop)
    }

    fn preview(&self, object: &Object, table: &Table, out: &mut Out) -> Result<()> {
        let batches = table.batches().collect::<Result<Vec<_>, _>>()?;
        writeln!(out, "{}", preview::render(table.schema(), &batches, self.rows, None)?)?;
        let columns = counted(table.schema().fields().len() as u64, "column");
        let rows = counted(table.num_rows(), "row");
        let batches = counted(batches.len() as u64, "batch");
        let size = human_bytes(object.info().bytes);
        writeln!(out, "{rows}, {columns}, {batches}, {size}")?;
        Ok(())
    }

    fn bytes(&self, object: &Object, file: Option<&Path>, out: &mut Out) -> Result<()> {
        let name = &object.info().name;
        if let Some(format) = self.format {
            return Err(Error::usage(format!(
                "object {name} is bytes, not a table, and can't be {format}: leave --format out"
            )));
        }
        let Some(path) = file else {
            if stdout_is_terminal() {
                let size = human_bytes(object.info().bytes);
                return Err(Error::failed(format!(
                    "object {name} is bytes ({size}), not a table: give -o FILE, or pipe it on"
                )));
            }
            return Ok(out.write_all(object.as_bytes())?);
        };
        if let Ok(format) = Format::of(path) {
            let path = path.display();
            return Err(Error::usage(format!(
                "object {name} is bytes, not a table, so {path} would be no {format}: give another \
                 name, such as {name}.bin, or `> {path}`"
            )));
        }
        let mut target = Target::create(path)?;
        target.write_all(object.as_bytes()).map_err(|error| Error::of(path)(error.into()))?;
        target.finish()?;
        let size = human_bytes(object.info().bytes);
        eprintln!("sheaf: wrote {name} to {}: {size}", path.display());
        Ok(())
    }
}
