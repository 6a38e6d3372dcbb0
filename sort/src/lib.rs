//! The parallel sort: tables in the store, sorted into the store.
//!
//! ```text
//! input, mapped ─▶ count ─▶ scatter: each column straight to its bucket's place ─▶ sort in cache
//!                  keys      in the output, which is the object's own memory
//! ```
//!
//! Not indices and a gather: all columns move by ranges of the key, twice in all, whatever the
//! number of rows. Stable, for every type that has an order, and for any payload.
//!
//! ```no_run
//! use sheaf_sort::{SortKey, SortOptions, sort};
//! use sheaf_store::{PutOptions, connect, default_url};
//!
//! let store = connect(&default_url())?;
//! let flights = store.get("flights")?.table()?;
//! let by = [SortKey::new("dep_time"), SortKey::new("carrier").descending()];
//! let (put, how) = (PutOptions::default(), SortOptions::default());
//! sort(&store, &flights, &by, "flights_by_time", &put, &how)?;
//! # Ok::<(), sheaf_store::Error>(())
//! ```
//!
//! What is larger than memory is sorted through disk: [`ExternalSort`].
//!
//! What this crate does not do: it keeps no state, talks to no store but through
//! [`sheaf_store::Client`], and merges no runs row by row.

mod bucket;
mod engine;
mod external;
mod kernels;
mod keys;
mod lanes;
mod map;
mod memory;
mod options;
mod order;
mod place;
mod size;
mod sorted;
mod source;
mod take;
mod tally;
mod target;
mod ties;
mod workers;

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sheaf_store::{Client, Info, Kind, Name, PutOptions, Result, Table, TableBuilder};

pub use self::external::{ExternalSort, Spill, sort_to_file};
pub use self::options::{NanOrder, Progress, SortKey, SortOptions, Stage};
use self::place::Placement;
use self::sorted::Sorting;
pub use self::sorted::{SORTED_BY, sorted_schema};

/// Sorts a table into a new object of this name.
///
/// The result's columns are those of the input, in few large batches; its schema tells the order
/// under [`SORTED_BY`]. Rows of equal keys stay in the order they came in.
///
/// # Errors
/// [`Kind::Invalid`](sheaf_store::Kind::Invalid) if there is nothing to sort by, or no such column,
/// or one whose type has no order; [`Kind::Full`](sheaf_store::Kind::Full) when the store has no
/// room for the result; [`Kind::Interrupted`](sheaf_store::Kind::Interrupted) when it was
/// cancelled; else as [`Client::put`]. Nothing is left of the result then.
pub fn sort(
    store: &Client,
    table: &Table,
    by: &[SortKey],
    into: impl AsRef<[u8]>,
    put: &PutOptions,
    options: &SortOptions<'_>,
) -> Result<Info> {
    let batches = table.batches().collect::<Result<Vec<_>>>()?;
    let sorting = Sorting::new(table.schema(), batches, by, *options)?;
    match &sorting.placement {
        Some(placement) => {
            let mut target = build(store, into.as_ref(), placement, put)?;
            let (file, spare) = target.split_mut();
            sorting.fill(placement, file, spare)?;
            target.seal()
        }
        None => {
            let mut writer = store.writer(into, sorting.schema(), put)?;
            // What has no room for sure is to be told of before the work.
            writer.reserve(sorting.least_bytes() as u64)?;
            sorting.take(|batch| writer.write(batch))?;
            writer.finish()
        }
    }
}

/// The result's memory, and with it what the sort needs besides: the store has memory prepared. If
/// there is no room for that, the sort has its own.
fn build(
    store: &Client,
    name: &[u8],
    placement: &Placement,
    put: &PutOptions,
) -> Result<TableBuilder> {
    let layout = || placement.layout().clone();
    let at_once = PutOptions { wait: Duration::ZERO, ..put.clone() };
    match store.build_layout(name, layout(), placement.spare_bytes(), &at_once) {
        Err(error) if error.kind() == Kind::Full => store.build_layout(name, layout(), 0, put),
        built => built,
    }
}

/// Sorts a table into one that has no name: it lasts as long as somebody holds it.
///
/// # Errors
/// As [`sort`].
pub fn sort_unnamed(
    store: &Client,
    table: &Table,
    by: &[SortKey],
    options: &SortOptions<'_>,
) -> Result<Table> {
    let name = Name::passing("sorted");
    sort(store, table, by, &name, &PutOptions::default(), options)?;
    let sorted = store.get(&name)?.table();
    store.delete(&name)?;
    sorted
}

/// Sorts batches in this process's own memory.
///
/// # Errors
/// As [`sort`].
pub fn sort_batches(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    by: &[SortKey],
    options: &SortOptions<'_>,
) -> Result<Vec<RecordBatch>> {
    Ok(Sorting::new(schema, batches.to_vec(), by, *options)?.in_memory()?.batches)
}
