//! The sort as its users meet it: what comes of it, and what is left when it does not come about.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use sheaf_sort::{SORTED_BY, SortKey, SortOptions, sort_unnamed};
use sheaf_store::{Client, Kind, PutOptions};
use sheaf_tests::{Daemon, eventually, sheaf_bin};

use crate::samples;

fn mixed(at: i64) -> i64 {
    let mixed = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 1) as i64
}

/// Puts a table of random keys and a payload.
fn put(store: &Client, name: &str, rows: i64) {
    let keys = Int64Array::from_iter_values((0..rows).map(mixed));
    let values = Float64Array::from_iter_values((0..rows).map(|at| mixed(at) as f64));
    let columns: [(_, ArrayRef); 2] = [("k", Arc::new(keys)), ("v", Arc::new(values))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    store.put(name, &batch.schema(), &[batch], &PutOptions::default()).unwrap();
}

fn sheaf(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(sheaf_bin());
    command.args(args).env("SHEAF_STORE", url).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(url: &str, args: &[&str]) -> Output {
    sheaf(url, args).output().expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_table_is_sorted_from_the_store_into_the_store() {
    let daemon = Daemon::start("256MiB");
    let store = daemon.connect();
    put(&store, "t", 500_000);

    let output = run(&daemon.url(), &["sort", "t", "--by", "k:desc,v", "--into", "sorted"]);

    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("sorted 500000 rows into sorted in "), "{}", stderr(&output));
    let sorted = store.get("sorted").unwrap().table().unwrap();
    assert_eq!((sorted.num_rows(), sorted.num_batches()), (500_000, 1));
    assert!(sorted.schema().metadata()[SORTED_BY].contains(r#""descending":true"#));
    let batch = sorted.batch(0).unwrap();
    let keys = batch.column(0).as_primitive::<Int64Type>().values();
    let values = batch.column(1).as_primitive::<arrow_array::types::Float64Type>().values();
    assert!(keys.is_sorted_by(|a, b| a >= b));
    assert!(keys.iter().zip(values.iter()).all(|(key, value)| *key as f64 == *value));
}

#[test]
fn a_sorted_table_without_a_name_lasts_as_long_as_it_is_held() {
    let daemon = Daemon::start("256MiB");
    let store = daemon.connect();
    put(&store, "t", 200_000);
    let table = store.get("t").unwrap().table().unwrap();

    let by = [SortKey::new("v")];
    let sorted = sort_unnamed(&store, &table, &by, &SortOptions::default()).unwrap();

    assert_eq!(store.list("", false).unwrap().len(), 1);
    let batch = sorted.batch(0).unwrap();
    assert!(batch.column(0).as_primitive::<Int64Type>().values().is_sorted());
    drop((batch, sorted));
    eventually("its memory is free", || store.stat().unwrap().get("retired_bytes") == 0);
}

#[test]
fn nested_columns_and_many_batches_move_with_their_rows() {
    let daemon = Daemon::start("256MiB");
    let store = daemon.connect();
    let batch = |start: i64| {
        let keys = Int64Array::from_iter_values((start..start + 1000).map(mixed));
        let words =
            StringArray::from_iter_values((start..start + 1000).map(|at| format!("{}", mixed(at))));
        let nested = arrow_array::StructArray::from(vec![(
            Arc::new(arrow_schema::Field::new("word", arrow_schema::DataType::Utf8, false)),
            Arc::new(words) as ArrayRef,
        )]);
        let columns: [(_, ArrayRef); 2] = [("k", Arc::new(keys)), ("n", Arc::new(nested))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let batches: Vec<_> = (0..50).map(|at| batch(at * 1000)).collect();
    store.put("t", &batches[0].schema(), &batches, &PutOptions::default()).unwrap();

    let output = run(&daemon.url(), &["sort", "t", "--by", "k", "--into", "sorted"]);

    assert!(output.status.success(), "{}", stderr(&output));
    let sorted = store.get("sorted").unwrap().table().unwrap();
    let batch = sorted.batch(0).unwrap();
    assert_eq!((sorted.num_rows(), sorted.num_batches()), (50_000, 1));
    let keys = batch.column(0).as_primitive::<Int64Type>().values();
    let words = batch.column(1).as_struct().column(0).as_string::<i32>();
    assert!(keys.is_sorted());
    assert!(keys.iter().zip(words).all(|(key, word)| word == Some(&key.to_string())));
}

#[test]
fn every_type_moves_with_its_rows_and_is_a_key_or_refused() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let rows = 300;
    let mut columns = samples::columns(rows);
    columns.push(Arc::new(Int64Array::from_iter_values((0..rows as i64).map(mixed))));
    let batch = samples::batch(columns);
    let halves = [batch.slice(0, 120), batch.slice(120, 180)];
    store.put("t", &batch.schema(), &halves, &PutOptions::default()).unwrap();
    let table = store.get("t").unwrap().table().unwrap();
    let schema = batch.schema();
    let last = schema.fields().len() - 1;

    for (key, field) in schema.fields().iter().enumerate() {
        let by = [SortKey::new(field.name())];
        let sorted = match sort_unnamed(&store, &table, &by, &SortOptions::default()) {
            Ok(sorted) => sorted.batch(0).unwrap(),
            Err(error) => {
                assert_ne!(key, last, "{error}");
                assert_eq!(error.kind(), Kind::Invalid, "{field}: {error}");
                assert!(error.to_string().contains("has no order"), "{field}: {error}");
                continue;
            }
        };
        assert_eq!(sorted.num_rows(), rows, "{field}");
        let numbers = sorted.column(last).as_primitive::<Int64Type>();
        for row in 0..rows {
            let before = (0..rows as i64).find(|at| mixed(*at) == numbers.value(row)).unwrap();
            for (at, column) in sorted.columns().iter().enumerate() {
                let found = column.slice(row, 1).to_data();
                let expected = batch.column(at).slice(before as usize, 1).to_data();
                assert_eq!(found, expected, "{} by {}", schema.field(at), field.name());
            }
        }
    }
}

#[test]
fn a_sort_that_has_no_room_says_so_before_it_starts() {
    let daemon = Daemon::start("24MiB");
    let store = daemon.connect();
    put(&store, "t", 1_000_000);

    let output = run(&daemon.url(), &["sort", "t", "--by", "k", "--into", "sorted"]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("object sorted needs"), "{}", stderr(&output));
    assert_eq!(store.list("", false).unwrap().len(), 1);
    assert_eq!(store.get("sorted").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_sort_that_is_killed_leaves_nothing() {
    let daemon = Daemon::start("512MiB");
    let store = daemon.connect();
    put(&store, "t", 5_000_000);
    for wait_ms in [0, 20, 60, 120] {
        let args = ["sort", "t", "--by", "k", "--into", "sorted", "--replace"];
        let mut child = sheaf(&daemon.url(), &args).stderr(Stdio::null()).spawn().unwrap();
        // Somewhere in the middle, wherever that is on this machine.
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();

        eventually("the draft is gone", || store.stat().unwrap().get("draft_bytes") == 0);
        let names = store.list("", false).unwrap();
        assert!(names.iter().all(|info| info.rows == 5_000_000));
    }
}

#[test]
fn what_cannot_be_sorted_is_an_error_of_one_line() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    put(&store, "t", 10);
    let refused = |url: &str, args: &[&str]| {
        let output = run(url, args);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        stderr(&output)
    };
    let sort = |by: &str| refused(&daemon.url(), &["sort", "t", "--by", by, "--into", "s"]);

    assert!(sort("x").contains("no column x; there are k, v"));
    assert!(sort("k,k:up").contains("no column k:up"));
    store.put_bytes("b", b"bytes", &PutOptions::default()).unwrap();
    let bytes = refused(&daemon.url(), &["sort", "b", "--by", "k", "--into", "s"]);
    assert!(bytes.contains("is bytes, not a table"), "{bytes}");
}

/// Number of rows in an Arrow file, whose column k is in order.
fn rows_in_order(path: &Path) -> usize {
    let file = sheaf_ipc::File::open(std::fs::read(path).unwrap().into()).unwrap();
    assert!(file.schema().metadata().contains_key(SORTED_BY));
    let mut last = i64::MIN;
    let mut rows = 0;
    for batch in file.batches() {
        let batch = batch.unwrap();
        let keys = batch.column(0).as_primitive::<Int64Type>().values();
        assert!(keys.is_sorted() && keys.first().is_none_or(|first| last <= *first));
        last = *keys.last().unwrap();
        rows += keys.len();
    }
    rows
}

#[test]
fn what_has_no_room_is_sorted_into_a_file_through_disk() {
    let daemon = Daemon::start("24MiB");
    let store = daemon.connect();
    put(&store, "t", 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let (spill, sorted) = (folder.path().join("spill"), folder.path().join("sorted.arrow"));
    std::fs::create_dir(&spill).unwrap();

    let full = run(&daemon.url(), &["sort", "t", "--by", "k", "--into", "s"]);
    let path = sorted.to_str().unwrap();
    let args = ["sort", "t", "--by", "k", "-o", path, "--memory", "4MiB", "--spill-dir"];
    let args = [&args[..], &[spill.to_str().unwrap()]].concat();
    let output = run(&daemon.url(), &args);

    assert!(stderr(&full).contains("-o FILE sorts into a file, through disk"), "{}", stderr(&full));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("sorted 1000000 rows into "), "{}", stderr(&output));
    assert_eq!(rows_in_order(&sorted), 1_000_000);
    assert_eq!(spill.read_dir().unwrap().count(), 0);
}

#[test]
fn files_are_sorted_into_files_without_a_store_and_into_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("in.csv");
    std::fs::write(&csv, "k,word\n3,c\n1,a\n2,b\n").unwrap();
    let sorted = folder.path().join("out.jsonl");

    let (from, to) = (csv.to_str().unwrap(), sorted.to_str().unwrap());
    let output = run("/no/store.sock", &["sort", "--from", from, "--by", "k:desc", "-o", to]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = std::fs::read_to_string(&sorted).unwrap();
    assert_eq!(
        lines,
        "{\"k\":3,\"word\":\"c\"}\n{\"k\":2,\"word\":\"b\"}\n{\"k\":1,\"word\":\"a\"}\n"
    );

    let daemon = Daemon::start("24MiB");
    let output = run(&daemon.url(), &["sort", "--from", from, "--by", "k", "--into", "t"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = daemon.connect().get("t").unwrap().table().unwrap();
    let batch = table.batch(0).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
}

#[test]
fn a_sort_through_disk_that_is_killed_leaves_nothing_but_its_half_of_a_result() {
    let daemon = Daemon::start("128MiB");
    put(&daemon.connect(), "t", 5_000_000);
    for wait_ms in [50, 150, 300] {
        let folder = tempfile::tempdir().unwrap();
        let spill = folder.path().join("spill");
        std::fs::create_dir(&spill).unwrap();
        let result = folder.path().join("s.arrow");
        let (path, spilled) = (result.to_str().unwrap(), spill.to_str().unwrap());
        let args =
            ["sort", "t", "--by", "k", "-o", path, "--memory", "8MiB", "--spill-dir", spilled];
        let mut child = sheaf(&daemon.url(), &args).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();

        assert_eq!(spill.read_dir().unwrap().count(), 0);
        assert!(!result.exists() || rows_in_order(&result) == 5_000_000);
    }
}

#[test]
fn what_makes_no_sense_is_misuse() {
    let misused = |args: &[&str]| {
        let output = run("/no/store.sock", &[&["sort"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        stderr(&output)
    };

    misused(&["--by", "k", "--into", "s"]);
    misused(&["t", "--by", "k"]);
    misused(&["t", "--from", "f.csv", "--by", "k", "--into", "s"]);
    misused(&["t", "--by", "k", "--into", "s", "-o", "s.arrow"]);
    misused(&["--from", "f.csv", "--by", "k", "-o", "s.xlsx"]);
    let daemon = Daemon::start("24MiB");
    let args = ["sort", "t", "--by", "k", "--into", "s", "--spill-dir", "/tmp"];
    let output = run(&daemon.url(), &args);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give -o FILE for the result"), "{}", stderr(&output));
}

#[test]
fn a_table_of_lists_that_has_no_room_says_so_before_it_starts() {
    let daemon = Daemon::start("24MiB");
    let store = daemon.connect();
    let mut lists = ListBuilder::new(Int64Builder::new());
    for at in 0..200_000 {
        lists.append_value((0..8).map(|more| Some(mixed(at + more))));
    }
    let keys = Int64Array::from_iter_values((0..200_000).map(mixed));
    let columns: [(_, ArrayRef); 2] = [("k", Arc::new(keys)), ("l", Arc::new(lists.finish()))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    store.put("t", &batch.schema(), &[batch], &PutOptions::default()).unwrap();

    let output = run(&daemon.url(), &["sort", "t", "--by", "k", "--into", "sorted"]);

    let told = stderr(&output);
    assert!(told.contains("object sorted needs") && !told.contains("written already"), "{told}");
    eventually("the draft is gone", || store.list("", false).unwrap().len() == 1);
    let room =
        run(&daemon.url(), &["sort", "t", "--by", "k", "-o", "/dev/null", "--memory", "8MiB"]);
    assert!(!room.status.success() && stderr(&room).contains("format"), "{}", stderr(&room));
}
