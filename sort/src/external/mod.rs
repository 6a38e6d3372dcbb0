//! The external sort: of what is larger than memory, through disk, in two passes.
//!
//! ```text
//! batches ─▶ what memory holds, sorted ─▶ run 1 ┐        ┌ range 1 of all, sorted ─▶ batches
//!         ─▶ what memory holds, sorted ─▶ run 2 ┼─ cut ─▶┤ range 2 of all, sorted ─▶ batches
//!         ─▶ …                                  ┘        └ …
//! ```
//!
//! Runs are Arrow IPC files without a name, mapped: nothing is left of them, whatever happens. They
//! are cut at the same keys into ranges that fit memory, and what the runs have of a range is
//! sorted by the sort that made them. That is quicker than merging row by row, which takes
//! thrice the time a row, and one thread.
//!
//! Reading, sorting and writing go on side by side, each in its thread.
//!
//! **Invariant:** runs are in the order of the input and cut so that rows of equal keys keep it:
//! the whole is as stable as its parts.

mod file;
mod portions;
mod ranges;
mod run;
mod watch;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{ScopedJoinHandle, scope};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sheaf_store::{Error, Kind, Result, Table};

use self::file::ArrowFile;
use self::portions::Portions;
use self::ranges::Parts;
use self::run::Run;
use self::watch::Watch;
use crate::options::{SortKey, SortOptions, Stage};
use crate::sorted::{self, KeyRows, Sorted, Sorting};

/// A run is this part of the memory: one is read and one sorted, into as much again, while a third
/// is written.
const RUN_PART: usize = 5;

/// A range is this part of the memory: one is sorted into as much again while one is written, and
/// the kernel keeps some of what it reads.
const RANGE_PART: usize = 4;

/// What an external sort may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spill {
    /// The folder of its files, which have no names: as many bytes as the input has are written.
    pub directory: PathBuf,
    /// How much memory it takes, in bytes, about.
    pub memory: usize,
}

impl Spill {
    /// Through the folder that a file lies in.
    #[must_use]
    pub fn beside(file: &Path, memory: usize) -> Self {
        Self { directory: folder_of(file).to_owned(), memory }
    }
}

fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A sort that has read its input: what was too much for memory is on disk, in sorted runs.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
/// use sheaf_sort::{ExternalSort, SortKey, SortOptions, Spill};
///
/// let batch = |first: i64| {
///     let values: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 100));
///     Ok::<_, sheaf_store::Error>(RecordBatch::try_from_iter([("n", values)]).unwrap())
/// };
/// let schema = batch(0)?.schema();
/// let batches = (0..10).rev().map(|at| batch(at * 100));
/// let spill = Spill { directory: std::env::temp_dir(), memory: 8 << 10 };
///
/// let by = [SortKey::new("n")];
/// let sort = ExternalSort::new(&schema, batches, &by, &spill, &SortOptions::default())?;
/// assert!(sort.num_runs() > 1);
/// let mut rows = 0;
/// sort.write(|batch| {
///     rows += batch.num_rows();
///     Ok::<_, sheaf_store::Error>(())
/// })?;
/// assert_eq!(rows, 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ExternalSort<'a> {
    plan: Plan<'a>,
    /// Sorted rows, if memory held all of them.
    held: Vec<RecordBatch>,
    runs: Vec<Run>,
    rows: u64,
}

/// What is sorted, and how.
#[derive(Debug)]
struct Plan<'a> {
    schema: SchemaRef,
    by: Vec<SortKey>,
    keys: KeyRows,
    spill: Spill,
    options: SortOptions<'a>,
}

impl<'a> ExternalSort<'a> {
    /// Reads batches of this schema to their end. The first pass.
    ///
    /// # Errors
    /// As [`sort`](crate::sort()), but for the store's; [`Kind::Full`] when the disk is full; what
    /// `batches` fails with. Nothing is left then.
    pub fn new<E: From<Error>>(
        schema: &SchemaRef,
        batches: impl IntoIterator<Item = Result<RecordBatch, E>>,
        by: &[SortKey],
        spill: &Spill,
        options: &SortOptions<'a>,
    ) -> Result<Self, E> {
        let keys = KeyRows::new(schema, &sorted::find(schema, by)?, options.nan)?;
        let (schema, by, spill) = (schema.clone(), by.to_vec(), spill.clone());
        let plan = Plan { schema, by, keys, spill, options: *options };
        let watch = Watch::new(*options);
        let mut batches = Portions::new(batches.into_iter(), plan.spill.memory / RUN_PART);
        let first = batches.read(|rows| watch.ask(Stage::Spill, rows, rows))?;
        if batches.is_done() {
            let sorting = Sorting::new(&plan.schema, first, &plan.by, *options)?;
            let held = sorting.in_memory()?.batches;
            return Ok(Self { plan, held, runs: Vec::new(), rows: batches.rows() });
        }
        let runs = plan.spill(first, &mut batches, &watch)?;
        Ok(Self { plan, held: Vec::new(), runs, rows: batches.rows() })
    }

    /// How many rows there are.
    #[must_use]
    pub fn num_rows(&self) -> u64 {
        self.rows
    }

    /// How many runs lie on disk; none if memory held everything.
    #[must_use]
    pub fn num_runs(&self) -> usize {
        self.runs.len()
    }

    /// Hands the rows to `each`, in order, batch by batch. The second pass.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] when it was cancelled; [`Kind::Full`] when there is no memory; what
    /// `each` fails with.
    pub fn write<E: From<Error>>(
        self,
        mut each: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.held.iter().try_for_each(&mut each)?;
        if self.runs.is_empty() {
            return Ok(());
        }
        let most = self.plan.spill.memory / RANGE_PART;
        let ranges = ranges::cut(&self.runs, &self.plan.keys, most)?;
        let watch = Watch::new(self.plan.options);
        let mut rows = 0;
        scope(|threads| {
            let (give, sorted) = sync_channel(0);
            let (plan, runs, watched) = (&self.plan, &self.runs, &watch);
            let sorter = threads.spawn(move || plan.sort_ranges(runs, &ranges, watched, &give));
            while let Some(batches) = watched.receive(&sorted, Stage::Merge, rows, self.rows)? {
                for batch in batches {
                    each(&batch).inspect_err(|_| watched.stop())?;
                    rows += batch.num_rows() as u64;
                    watched.ask(Stage::Merge, rows, self.rows)?;
                }
            }
            Ok(outcome(sorter)?)
        })
    }
}

/// Sorts a table into an Arrow IPC file, through disk what is more than memory; how many rows.
///
/// The file is there when it is whole; until then, and if it never comes about, what had its name
/// before still has it.
///
/// # Errors
/// As [`ExternalSort::new`] and [`ExternalSort::write`]; [`Kind::Full`] when the disk is full.
pub fn sort_to_file(
    table: &Table,
    by: &[SortKey],
    path: &Path,
    spill: &Spill,
    options: &SortOptions<'_>,
) -> Result<u64> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    // As any program would create it: the mask applies.
    let permissions = Permissions::from_mode(0o666);
    let made = builder.prefix(".sheaf-").permissions(permissions).tempfile_in(folder);
    let target = made.map_err(|error| file::failed(folder, &error))?;
    let schema = sorted::sorted_schema(table.schema(), by)?;
    let mut out = ArrowFile::new(target.as_file(), path, &schema)?;
    let sort = ExternalSort::new(table.schema(), table.batches(), by, spill, options)?;
    let rows = sort.num_rows();
    sort.write(|batch| out.write(batch))?;
    out.finish()?;
    target.persist(path).map_err(|error| file::failed(path, &error.error))?;
    Ok(rows)
}

impl Plan<'_> {
    /// Sorts portion after portion, and writes each to disk.
    fn spill<E: From<Error>>(
        &self,
        first: Vec<RecordBatch>,
        batches: &mut Portions<impl Iterator<Item = Result<RecordBatch, E>>>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Run>, E> {
        scope(|threads| {
            let (want, wanted) = channel();
            let (give, portions) = channel();
            let (give_sorted, sorted) = sync_channel(0);
            let done = want.clone();
            let sorter =
                threads.spawn(move || self.sort_portions(&want, &portions, watch, &give_sorted));
            let writer = threads.spawn(move || {
                let _done = done;
                self.write_runs(&sorted)
            });
            let read = || {
                let (mut give, mut portion) = (Some(give), first);
                let mut read = batches.rows();
                while watch.receive(&wanted, Stage::Spill, read, read)?.is_some() {
                    match &give {
                        Some(give) if !portion.is_empty() => drop(give.send(portion)),
                        _ => give = None,
                    }
                    portion = batches.read(|rows| watch.ask(Stage::Spill, rows, rows))?;
                    read = batches.rows();
                }
                Ok(())
            };
            read().inspect_err(|_: &E| watch.stop())?;
            // What stopped the writer stopped the sorter.
            let runs = outcome(writer)?;
            outcome(sorter)?;
            Ok(run::with_shared_dictionaries(runs))
        })
    }

    /// Sorts what it is given, as long as there is something and somebody takes it.
    fn sort_portions(
        &self,
        want: &Sender<()>,
        portions: &Receiver<Vec<RecordBatch>>,
        watch: &Watch<'_>,
        give: &SyncSender<Sorted>,
    ) -> Result<()> {
        // A portion is asked for as soon as the last one is taken: the next is read meanwhile.
        while want.send(()).is_ok()
            && let Ok(portion) = portions.recv()
            && give.send(self.sort(portion, watch)?).is_ok()
        {}
        Ok(())
    }

    fn write_runs(&self, sorted: &Receiver<Sorted>) -> Result<Vec<Run>> {
        sorted.iter().map(|sorted| Run::write(&sorted, &self.keys, &self.spill)).collect()
    }

    fn sort_ranges(
        &self,
        runs: &[Run],
        ranges: &[Parts],
        watch: &Watch<'_>,
        give: &SyncSender<Vec<RecordBatch>>,
    ) -> Result<()> {
        for range in ranges {
            let slices = runs.iter().zip(range).flat_map(|(run, rows)| run.slices(rows.clone()));
            let sorted = self.sort(slices.collect(), watch)?;
            if give.send(sorted.batches).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Sorts what memory holds; stops when the whole is stopped.
    fn sort(&self, batches: Vec<RecordBatch>, watch: &Watch<'_>) -> Result<Sorted> {
        let go_on = |_| watch.goes_on();
        let options = SortOptions { progress: Some(&go_on), ..self.options };
        Sorting::new(&self.schema, batches, &self.by, options)?.in_memory()
    }
}

/// What a thread came to.
fn outcome<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    let panicked = |_| Err(Error::new(Kind::Internal, "a thread of the sort panicked"));
    thread.join().unwrap_or_else(panicked)
}
