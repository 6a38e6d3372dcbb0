//! `sheaf sort`: a table, in order, as a new object.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sheaf_sort::{NanOrder, SortKey, SortOptions};
use sheaf_store::{Kind, PutOptions};

use crate::args::Global;
use crate::error::{Error, Result};
use crate::names::{self, NameArg};
use crate::progress::{Measure, Progress};
use crate::units::{counted, human_time, parse_duration};

/// Sort a table into a new object, stably, with every core.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A key is COLUMN[:asc|:desc][:nulls-first|:nulls-last]; ascending with nulls last unless it says so.
NaN is greater than all numbers. The result's schema tells its order (sheaf.sorted_by).

Examples:
  sheaf sort flights --by dep_time --into flights_by_time
  sheaf sort flights --by dep_time,carrier:desc:nulls-first --into flights_by_time --replace")]
pub(crate) struct Sort {
    #[command(flatten)]
    name: NameArg,
    /// What to sort by, the first first.
    #[arg(long, value_name = "KEYS", value_delimiter = ',', required = true)]
    by: Vec<String>,
    /// The name of the result.
    #[arg(long, value_name = "NAME")]
    into: std::ffi::OsString,
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
}

impl Sort {
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
        let (name, into) = (self.name.get()?, names::parse(&self.into, false)?);
        let by: Vec<SortKey> = self.by.iter().map(|key| SortKey::parse(key)).collect();
        let door = global.connect()?;
        let store = door.near().ok_or_else(|| {
            let message = "sort needs a store on this machine, and this one is reached by Flight";
            Error::Store(sheaf_store::Error::new(Kind::Invalid, message))
        })?;
        let table = store.get(name.as_bytes())?.table()?;
        let start = Instant::now();
        let bar = Progress::start("sort", Measure::Rows(table.num_rows()));
        let show = |progress: sheaf_sort::Progress| {
            bar.tell(progress.stage.name(), progress.rows);
            ControlFlow::Continue(())
        };
        let nan = if self.nan_smallest { NanOrder::Smallest } else { NanOrder::Greatest };
        let options = SortOptions { threads: self.threads, nan, progress: Some(&show) };
        let put = PutOptions { replace: self.replace, wait: self.wait, ..PutOptions::default() };
        let sorted = sheaf_sort::sort(store, &table, &by, into.as_bytes(), &put, &options);
        drop(bar);
        let info = sorted?;
        let (took, rows) = (start.elapsed(), counted(info.rows, "row"));
        eprintln!("sheaf: sorted {rows} into {} in {}", info.name, human_time(took));
        Ok(())
    }
}
