//! `sheaf put`: a file or a stream becomes an object.
//!
//! Batches go into the store as they are read: a table may be larger than this process could hold.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sheaf_flight::AnyDoor;
use sheaf_store::{Info, Name, ObjectKind, PutOptions};

use crate::args::Global;
use crate::error::{Error, Result};
use crate::format::{Format, INFER_ROWS, ReadOptions, Source, parse_delimiter};
use crate::names::NameArg;
use crate::progress::{Measure, Progress};
use crate::units::{counted, human_bytes, human_time, parse_duration};

/// Put a file, or an Arrow stream from stdin, under a name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Formats: parquet, csv (.tsv too), arrow (.feather too), arrows, jsonl; told by the file's name, or
by --format. The types of csv and jsonl are inferred from the first rows.

Examples:
  sheaf put trades trades.parquet
  sheaf put prices prices.csv --delimiter ';' --null NA
  python make.py | sheaf put trades -               an Arrow stream
  curl -s $URL | sheaf put prices - --format csv
  sheaf put --bytes model weights.bin               bytes as they are")]
pub(crate) struct Put {
    #[command(flatten)]
    name: NameArg,
    /// The file; - is stdin.
    file: PathBuf,
    /// The file's format, where its name does not tell it [default for stdin: arrows].
    #[arg(long, value_enum, conflicts_with = "bytes")]
    format: Option<Format>,
    /// Put the file's bytes as they are.
    #[arg(long)]
    bytes: bool,
    /// Replace an object of this name; those who hold the old one keep it.
    #[arg(long)]
    replace: bool,
    /// A cache entry: the store may drop it for room while nobody holds it.
    #[arg(long)]
    droppable: bool,
    /// How long to wait for room when the store is full.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_duration)]
    wait: Duration,
    /// CSV: the first line is data; columns are called column_1 and so on.
    #[arg(long)]
    no_header: bool,
    /// CSV: the character between fields [default: a comma, a tab for .tsv].
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// CSV: the word that means null, besides nothing at all.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// CSV, JSON: how many rows to infer types from; 0 means all.
    #[arg(long, value_name = "N", default_value_t = INFER_ROWS)]
    infer_rows: usize,
}

impl Put {
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
        let name = self.name.get()?;
        let start = Instant::now();
        let options = PutOptions {
            replace: self.replace,
            droppable: self.droppable,
            wait: self.wait,
            ..PutOptions::default()
        };
        let door = global.connect()?;
        let info = if self.bytes {
            put_bytes(&door, &name, &self.file, &options)?
        } else {
            let source = Source::open(&self.file, &self.read_options())?;
            put_table(&door, &name, source, &options).map_err(|error| match error {
                Error::Arrow(_) | Error::Parquet(_) => Error::of(&self.file)(error),
                other => other,
            })?
        };
        eprintln!("sheaf: put {} in {}", described(&info), human_time(start.elapsed()));
        Ok(())
    }

    fn read_options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format,
            header: !self.no_header,
            delimiter: self.delimiter,
            null: self.null.clone(),
            infer_rows: (self.infer_rows > 0).then_some(self.infer_rows),
        }
    }
}

/// `trades: 3 rows, 1.2 KiB`.
pub(super) fn described(info: &Info) -> String {
    let size = human_bytes(info.bytes);
    match info.kind {
        ObjectKind::Table if info.rows == 0 => {
            format!("{}: no rows, only columns, {size}", info.name)
        }
        ObjectKind::Table => format!("{}: {}, {size}", info.name, counted(info.rows, "row")),
        ObjectKind::Bytes => format!("{}: {size}", info.name),
    }
}

fn put_table(
    door: &AnyDoor,
    name: &Name,
    mut source: Source,
    options: &PutOptions,
) -> Result<Info> {
    let progress = Progress::start(&format!("put {name}"), source.measure);
    let mut writer = door.writer(name.as_bytes(), &source.schema, options)?;
    let mut rows = 0;
    while let Some(batch) = source.batches.next() {
        let batch = batch?;
        writer.write(&batch)?;
        rows += batch.num_rows() as u64;
        progress.set(source.position(rows));
    }
    Ok(writer.finish()?)
}

fn put_bytes(door: &AnyDoor, name: &Name, path: &Path, options: &PutOptions) -> Result<Info> {
    let of_file = |error: std::io::Error| Error::of(path)(error.into());
    let mut file = if path == Path::new("-") {
        File::open("/dev/stdin").map_err(of_file)?
    } else {
        File::open(path).map_err(of_file)?
    };
    let facts = file.metadata().map_err(of_file)?;
    if facts.is_dir() {
        return Err(Error::of(path)(Error::failed("is a folder: put its files one by one")));
    }
    // Only a regular file says beforehand how long it is; nothing is quickest put at once; and only
    // the near door has memory that can be read into.
    let near = door.near().filter(|_| facts.is_file() && facts.len() > 0);
    let Some(near) = near else {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(of_file)?;
        return Ok(door.put_bytes(name.as_bytes(), &bytes, options)?);
    };
    const STEP_BYTES: usize = 8 << 20;
    let progress = Progress::start(&format!("put {name}"), Measure::Bytes(facts.len()));
    let mut draft = near.create(name, facts.len(), options)?;
    let mut done = 0;
    for step in draft.as_mut_slice().chunks_mut(STEP_BYTES) {
        file.read_exact(step).map_err(of_file)?;
        done += step.len() as u64;
        progress.set(done);
    }
    Ok(draft.seal()?)
}
