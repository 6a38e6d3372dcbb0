//! `sheaf sort`: a table, in order, as a new object or a file.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use clap::ArgGroup;
use sheaf_flight::AnyDoor;
use sheaf_sort::{ExternalSort, NanOrder, SortKey, SortOptions, Spill};
use sheaf_store::{Client, Kind, Name, PutOptions};

use super::sort_files::{Input, Output};
use crate::args::Global;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::machine::Memory;
use crate::names::{self, NameArg};
use crate::progress::{Measure, Progress};
use crate::units::{counted, human_time, parse_bytes, parse_duration};

/// Sort a table into a new object or a file, stably, with every core.
#[derive(Debug, clap::Args)]
#[command(
    group(ArgGroup::new("source").required(true).args(["name", "from"])),
    group(ArgGroup::new("result").required(true).args(["into", "output"])),
    after_help = "\
A key is COLUMN[:asc|:desc][:nulls-first|:nulls-last]; ascending with nulls last unless it says so.
NaN is greater than all numbers. The result's schema tells its order (sheaf.sorted_by).

From one object into another the sort is in the store's memory. With --from or -o what is more than
--memory goes through files without names in --spill-dir, as large as the input, in two passes.

Examples:
  sheaf sort flights --by dep_time --into flights_by_time
  sheaf sort flights --by dep_time,carrier:desc:nulls-first --into flights_by_time --replace
  sheaf sort flights --by dep_time -o by_time.parquet
  sheaf sort --from large.arrow --by id -o sorted.arrow --memory 4GiB --spill-dir /scratch"
)]
pub(crate) struct Sort {
    #[command(flatten)]
    name: Option<NameArg>,
    /// A file to sort, of any format that `put` reads.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// What to sort by, the first first.
    #[arg(long, value_name = "KEYS", value_delimiter = ',', required = true)]
    by: Vec<String>,
    /// The name of the result.
    #[arg(long, value_name = "NAME")]
    into: Option<std::ffi::OsString>,
    /// The file of the result, of any format that `get` writes.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace an object of that name; those who hold the old one keep it.
    #[arg(long)]
    replace: bool,
    /// How many threads work [default: all cores].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Let NaN be less than all numbers.
    #[arg(long)]
    nan_smallest: bool,
    /// How long to wait for room when the store is full.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_duration)]
    wait: Duration,
    /// How much memory a sort takes that goes through disk [default: half of what is free].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// The folder it goes through [default: that of the result, or the one for temporary files].
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,
}

impl Sort {
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
        let name = self.name.as_ref().map(NameArg::get).transpose()?;
        let into = self.into.as_ref().map(|into| names::parse(into, false)).transpose()?;
        let start = Instant::now();
        let needs_store = name.is_some() || into.is_some();
        let door = needs_store.then(|| global.connect()).transpose()?;
        let store = door.as_ref().map(near).transpose()?;
        let (rows, result) = match (store, &name, &into) {
            (Some(store), Some(name), Some(into)) => self.in_store(store, name, into)?,
            _ => {
                if let Some(path) = &self.output {
                    Format::of(path)?;
                }
                let input = Input::open(store.zip(name.as_ref()), self.from.as_deref())?;
                self.through_disk(input, store.zip(into.as_ref()))?
            }
        };
        let (took, rows) = (start.elapsed(), counted(rows, "row"));
        eprintln!("sheaf: sorted {rows} into {result} in {}", human_time(took));
        Ok(())
    }

    /// From an object into another; how many rows, and what they are in.
    fn in_store(&self, store: &Client, name: &Name, into: &Name) -> Result<(u64, String)> {
        if self.memory.is_some() || self.spill_dir.is_some() {
            return Err(Error::usage(
                "from an object into another nothing goes through disk: leave --memory and \
                 --spill-dir out, or give -o FILE for the result",
            ));
        }
        let table = store.get(name.as_bytes())?.table()?;
        let bar = Progress::start("sort", Measure::Rows(table.num_rows()));
        let show = |progress: sheaf_sort::Progress| {
            bar.tell(progress.stage.name(), progress.rows);
            ControlFlow::Continue(())
        };
        let (by, put, options) = (self.keys(), self.put_options(), self.options(&show));
        let sorted = sheaf_sort::sort(store, &table, &by, into.as_bytes(), &put, &options);
        let info = sorted.map_err(|error| match error.kind() {
            Kind::Full => {
                let hint = "; -o FILE sorts into a file, through disk";
                sheaf_store::Error::new(Kind::Full, format!("{error}{hint}"))
            }
            _ => error,
        })?;
        Ok((info.rows, into.to_string()))
    }

    /// From or into a file; how many rows, and what they are in.
    fn through_disk(&self, input: Input, into: Option<(&Client, &Name)>) -> Result<(u64, String)> {
        let bar = Progress::start("read", input.measure());
        let show = |progress: sheaf_sort::Progress| {
            bar.say(progress.stage.name());
            ControlFlow::Continue(())
        };
        let (by, spill, options) = (self.keys(), self.spill(), self.options(&show));
        let schema = input.schema();
        // First of all, so that what is wrong with it shows before the work is done.
        let mut output = self.open_output(&sheaf_sort::sorted_schema(&schema, &by)?, into)?;
        let sort = ExternalSort::new(&schema, input.batches(&bar), &by, &spill, &options)?;
        let rows = sort.num_rows();
        bar.restart("merge", Measure::Rows(rows));
        let mut written = 0;
        sort.write(|batch| {
            output.write(batch)?;
            written += batch.num_rows() as u64;
            bar.set(written);
            Ok::<_, Error>(())
        })?;
        Ok((rows, output.finish()?))
    }

    fn open_output(&self, schema: &SchemaRef, into: Option<(&Client, &Name)>) -> Result<Output> {
        match (into, &self.output) {
            (Some((store, name)), _) => {
                let writer = store.writer(name.as_bytes(), schema, &self.put_options())?;
                Ok(Output::Object(Box::new(writer)))
            }
            (None, Some(path)) => Output::file(path, schema),
            (None, None) => Err(Error::usage("give --into NAME or -o FILE")),
        }
    }

    fn keys(&self) -> Vec<SortKey> {
        self.by.iter().map(|key| SortKey::parse(key)).collect()
    }

    fn options<'a>(
        &self,
        show: &'a (dyn Fn(sheaf_sort::Progress) -> ControlFlow<()> + Sync),
    ) -> SortOptions<'a> {
        let nan = if self.nan_smallest { NanOrder::Smallest } else { NanOrder::Greatest };
        SortOptions { threads: self.threads, nan, progress: Some(show) }
    }

    fn put_options(&self) -> PutOptions {
        PutOptions { replace: self.replace, wait: self.wait, ..PutOptions::default() }
    }

    fn spill(&self) -> Spill {
        let memory = self.memory.unwrap_or_else(|| {
            let memory = Memory::read();
            memory.available_bytes.min(memory.limit_bytes()) / 2
        });
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        match (&self.spill_dir, &self.output) {
            (Some(directory), _) => Spill { directory: directory.clone(), memory },
            (None, Some(output)) => Spill::beside(output, memory),
            (None, None) => Spill { directory: std::env::temp_dir(), memory },
        }
    }
}

/// The store, if it is on this machine.
fn near(door: &AnyDoor) -> Result<&Client> {
    door.near().ok_or_else(|| {
        let message = "sort needs a store on this machine, and this one is reached by Flight";
        Error::Store(sheaf_store::Error::new(Kind::Invalid, message))
    })
}
