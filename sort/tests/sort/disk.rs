//! The external sort: what comes of it is held to the oracle with every other test; here is how it
//! ends when something is in its way.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use sheaf_sort::{ExternalSort, Progress, SORTED_BY, SortKey, SortOptions, Spill, Stage};
use sheaf_store::{Error, Kind, Result};

const ROWS: i64 = 400_000;

/// Bytes of the table's rows.
const BYTES: usize = ROWS as usize * 16;

fn batches(key: fn(i64) -> i64) -> impl Iterator<Item = Result<RecordBatch>> {
    (0..ROWS).step_by(10_000).map(move |first| {
        let rows = || first..first + 10_000;
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows().map(key)));
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(rows()));
        Ok(RecordBatch::try_from_iter([("key", keys), ("row", rows)]).unwrap())
    })
}

fn schema() -> SchemaRef {
    batches(|at| at).next().unwrap().unwrap().schema()
}

fn random(at: i64) -> i64 {
    at.wrapping_mul(0x5851_f42d_4c95_7f2d) >> 7
}

fn by() -> [SortKey; 1] {
    [SortKey::new("key")]
}

/// A folder for a sort with so much memory.
fn spill(memory: usize) -> (tempfile::TempDir, Spill) {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_owned();
    (folder, Spill { directory, memory })
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[test]
fn what_memory_holds_stays_in_memory() {
    let (folder, spill) = spill(BYTES * 10);
    std::fs::remove_dir(folder.path()).unwrap();

    let sort =
        ExternalSort::new(&schema(), batches(random), &by(), &spill, &SortOptions::default());

    assert_eq!(sort.unwrap().num_runs(), 0);
}

#[test]
fn ranges_are_as_large_as_memory_has_room_even_if_all_keys_are_equal() {
    for key in [random, |_| 42, |at| at / 100_000] {
        let memory = BYTES / 4;
        let (folder, spill) = spill(memory);
        let options = SortOptions::default();
        let sort = ExternalSort::new(&schema(), batches(key), &by(), &spill, &options).unwrap();
        assert_eq!((sort.num_rows(), sort.num_runs()), (ROWS as u64, 20));

        let mut last = (i64::MIN, -1);
        let mut most = 0;
        sort.write(|batch| {
            assert!(batch.schema().metadata().contains_key(SORTED_BY));
            let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().iter();
            for row in column(0).copied().zip(column(1).copied()) {
                assert!(last < row, "{last:?} before {row:?}");
                last = row;
            }
            most = most.max(batch.num_rows() * 16);
            Ok::<_, Error>(())
        })
        .unwrap();

        // A range has up to 4096 rows of each run more than it should.
        assert!(most > memory / 8 && most <= memory / 4 + 20 * 4096 * 16, "{most} of {memory}");
        assert!(is_empty(folder.path()));
    }
}

#[test]
fn a_source_that_fails_ends_the_sort_with_its_error() {
    let (folder, spill) = spill(BYTES / 4);
    let broken = batches(random)
        .take(30)
        .chain([Err(Error::new(Kind::Invalid, "the file ends in the middle"))]);

    let sort = ExternalSort::new(&schema(), broken, &by(), &spill, &SortOptions::default());

    assert_eq!(sort.unwrap_err().to_string(), "the file ends in the middle");
    assert!(is_empty(folder.path()));
}

#[test]
fn a_taker_that_fails_ends_the_sort_with_its_error() {
    let (_folder, spill) = spill(BYTES / 4);
    let sort =
        ExternalSort::new(&schema(), batches(random), &by(), &spill, &SortOptions::default());

    let mut taken = 0;
    let written = sort.unwrap().write(|_| {
        taken += 1;
        if taken < 3 { Ok(()) } else { Err(Error::new(Kind::Full, "no more room")) }
    });

    assert_eq!(written.unwrap_err().to_string(), "no more room");
    assert_eq!(taken, 3);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let (folder, spill) = spill(BYTES / 4);
    std::fs::remove_dir(folder.path()).unwrap();

    let sort =
        ExternalSort::new(&schema(), batches(random), &by(), &spill, &SortOptions::default());

    let error = sort.unwrap_err().to_string();
    assert!(error.contains(&folder.path().display().to_string()), "{error}");
    assert!(error.contains("No such file"), "{error}");
}

#[test]
fn it_can_be_cancelled_in_both_passes() {
    for stage in [Stage::Spill, Stage::Merge] {
        let (_folder, spill) = spill(BYTES / 4);
        let cancelled = AtomicBool::new(false);
        let progress = |told: Progress| {
            cancelled.fetch_or(told.stage == stage, Ordering::Relaxed);
            if told.stage == stage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = SortOptions { progress: Some(&progress), ..SortOptions::default() };
        // As slow as it takes to be asked.
        let slow =
            batches(random).inspect(|_| std::thread::sleep(std::time::Duration::from_millis(5)));

        let sorted = ExternalSort::new(&schema(), slow, &by(), &spill, &options).and_then(|sort| {
            sort.write(|_| {
                std::thread::sleep(std::time::Duration::from_millis(60));
                Ok(())
            })
        });

        assert_eq!(sorted.unwrap_err().kind(), Kind::Interrupted, "{stage:?}");
        assert!(cancelled.load(Ordering::Relaxed));
    }
}
