//! Where a table goes that was got: the terminal, a pipe, or a file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sheaf_store::Table;

use crate::error::{Error, Result};
use crate::format::{Format, Target, Writer, delimiter_of, parse_delimiter};
use crate::preview;
use crate::progress::{Measure, Progress};
use crate::term::{Out, stdout_is_terminal};
use crate::units::{counted, human_bytes, human_time};

/// Where a table goes, and as what.
#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// The file to write; - is stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The format to write, where the file's name does not tell it [default for a pipe: arrows].
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// CSV: the character between fields [default: a comma, a tab for .tsv].
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// The preview's first and last rows [default: 5; 20 of a statement's result].
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
}

impl Output {
    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// Writes a table, which is called `what`; one that was computed, in so long.
    pub(crate) fn write(
        &self,
        table: &Table,
        what: &str,
        took: Option<Duration>,
        out: &mut Out,
    ) -> Result<()> {
        match (self.file(), self.format) {
            (Some(path), format) => {
                let format = format.map_or_else(|| Format::of(path), Ok)?;
                let mut target = Target::create(path)?;
                self.encode(table, format, path, what, &mut target)?;
                target.finish()?;
                let rows = counted(table.num_rows(), "row");
                eprintln!("sheaf: wrote {what} to {}: {rows}", path.display());
                Ok(())
            }
            (None, None) if stdout_is_terminal() => self.preview(table, took, out),
            (None, format) => {
                let format = format.unwrap_or(Format::Arrows);
                if stdout_is_terminal() && !format.is_text() {
                    return Err(Error::usage(format!(
                        "{format} is not for a terminal: give -o FILE, or pipe it on"
                    )));
                }
                self.encode(table, format, Path::new("-"), what, out)
            }
        }
    }

    fn encode(
        &self,
        table: &Table,
        format: Format,
        path: &Path,
        what: &str,
        mut out: impl Write + Send,
    ) -> Result<()> {
        if format == Format::Arrow {
            // Nothing is decoded: dictionaries and metadata stay as they were put.
            out.write_all(table.object().as_bytes())?;
            return Ok(out.flush()?);
        }
        let measure = Measure::Rows(table.num_rows());
        let progress = Progress::start(&format!("get {what}"), measure);
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

    fn preview(&self, table: &Table, took: Option<Duration>, out: &mut Out) -> Result<()> {
        let batches = table.batches().collect::<Result<Vec<_>, _>>()?;
        let ends = self.rows.unwrap_or(if took.is_some() { 20 } else { 5 });
        writeln!(out, "{}", preview::render(table.schema(), &batches, ends, None)?)?;
        let columns = counted(table.schema().fields().len() as u64, "column");
        let rows = counted(table.num_rows(), "row");
        if let Some(took) = took {
            writeln!(out, "{rows}, {columns}, in {}", human_time(took))?;
            return Ok(());
        }
        let batches = counted(batches.len() as u64, "batch");
        let size = human_bytes(table.nbytes());
        writeln!(out, "{rows}, {columns}, {batches}, {size}")?;
        Ok(())
    }
}
