//! Scans: in place, of the rows and columns that are wanted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{ArrayRef, Int64Array};

use crate::harness::House;

/// Counts what is allocated: how much there is, and how much there was at the most.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: all is done by the system's allocator; this only looks on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: the caller's own promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's own promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn filters_leave_out_rows_that_they_cannot_want() {
    let house = House::new();
    house.count("t", 1_000_000);

    let plan =
        house.explained("select * from t where n between 500000 and 500100", "rows=65536 of");
    assert!(plan.contains("rows=65536 of 1000000"), "{plan}");
    assert_eq!(house.number("select count(*) from t where n between 500000 and 500100"), 101);
    assert_eq!(house.number("select count(*) from t where n = -1"), 0);
    assert_eq!(house.number("select count(*) from t where s = 'word 3' and f < 10"), 10);
    assert_eq!(house.number("select count(*) from t where n is null"), 0);
    // A join's other side, and a limit's worst row, leave out rows while the plan runs.
    house.put("k", vec![("n", Arc::new(Int64Array::from(vec![70_000, 70_001])) as ArrayRef)]);
    let run = house.told("explain analyze select t.f from t join k on t.n = k.n");
    let pruned = run.lines().find(|line| line.contains("table=t,")).unwrap();
    assert!(pruned.contains("rows_pruned=") && !pruned.contains("rows_pruned=0]"), "{run}");
}

#[test]
fn what_is_asked_of_all_rows_is_told_without_reading_them() {
    let house = House::new();
    house.count("t", 1_000_000);
    house.explained("select * from t where n < 10", "rows=65536 of");

    let plan = house.told("explain select count(*), min(n), max(n) from t");
    assert!(!plan.contains("DataSourceExec: table"), "{plan}");
    assert_eq!(house.told("select count(*), min(n), max(n) from t"), "1000000|0|999999");
}

#[test]
fn a_scan_is_shared_out_by_rows() {
    let house = House::new();
    house.count("t", 1_000_000); // One batch.

    let plan = house.told("explain select sum(f) from t");

    assert!(plan.contains("partitions=2"), "{plan}");
}

#[test]
fn a_scan_allocates_nothing_of_the_datas_size() {
    // The allocations of a process are all its threads': in one of its own there are no others.
    let own = std::env::current_exe().unwrap();
    let alone = ["--exact", "scans::alone", "--ignored", "--nocapture"];
    let output = std::process::Command::new(own).args(alone).output().unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "counts the memory of its process: a_scan_allocates_nothing_of_the_datas_size runs it"]
fn alone() {
    const ROWS: i64 = 4_000_000; // 120 MB, in one batch.
    let house = House::with(512 << 20, |_, _| {});
    drop(house.count("t", ROWS));
    house.explained("select n from t where n < 10", "rows=65536 of");
    let query = "select sum(n), sum(f), max(s), count(*) from t where f >= 0";
    house.told(query);
    let before = LIVE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);

    assert!(house.told(query).ends_with("|word 9|4000000"));

    let taken = MOST.load(Ordering::Relaxed) - before;
    assert!(taken < 8 << 20, "{taken} bytes for a scan of 120 MB");
}
