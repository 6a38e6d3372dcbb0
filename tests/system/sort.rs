//! The sort as its users meet it: what comes of it, and what is left when it does not come about.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;

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
