//! Shapes of data that sorts stumble over, cancelling, and what can't be sorted.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt8Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow_schema::{DataType, Field, Schema};
use sheaf_sort::{NanOrder, SORTED_BY, SortKey, SortOptions, sort_batches};
use sheaf_store::Kind;

use crate::oracle::check;

fn mixed(at: u64) -> u64 {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 29
}

/// A key and the row's number.
fn numbered(keys: impl Iterator<Item = i64>) -> RecordBatch {
    let keys: Int64Array = keys.collect::<Vec<_>>().into();
    let rows = Int64Array::from_iter_values(0..keys.len() as i64);
    RecordBatch::try_from_iter([
        ("key", Arc::new(keys) as ArrayRef),
        ("row", Arc::new(rows) as ArrayRef),
    ])
    .unwrap()
}

#[test]
fn every_pattern_is_sorted_stably() {
    const ROWS: u64 = 600_000;
    let zipf = |at| (1.0 / ((mixed(at) >> 11) as f64 / (1_u64 << 53) as f64 + 1e-9)) as i64;
    type Key = fn(u64) -> i64;
    let patterns: [(&str, Key); 10] = [
        ("random", |at| mixed(at) as i64),
        ("sorted", |at| at as i64),
        ("sorted, with ties", |at| (at / 3) as i64),
        ("reversed", |at| -(at as i64)),
        ("reversed, with ties", |at| -((at / 2) as i64)),
        ("all equal", |_| 42),
        ("twenty", |at| (mixed(at) % 20) as i64),
        ("saws", |at| (at % 1000) as i64),
        ("one value in half", |at| if mixed(at).is_multiple_of(2) { 7 } else { mixed(at) as i64 }),
        ("logarithmic", |at| (mixed(at) >> (mixed(at + 1) % 64)) as i64),
    ];
    for (name, key) in patterns {
        let whole = numbered((0..ROWS).map(key));
        let batches = [whole.slice(0, 250_001), whole.slice(250_001, 349_999)];
        for by in [SortKey::new("key"), SortKey::new("key").descending()] {
            println!("{name} {by:?}");
            check(&whole.schema(), &batches, &[by], 2);
        }
    }
    check(&numbered([].into_iter()).schema(), &[], &[SortKey::new("key")], 2);
    let zipf = numbered((0..ROWS).map(zipf));
    check(&zipf.schema(), std::slice::from_ref(&zipf), &[SortKey::new("key")], 3);
}

#[test]
fn texts_of_every_kind_are_sorted() {
    let patterns: [fn(u64) -> String; 9] = [
        |at| if at.is_multiple_of(2) { "a word in half".into() } else { format!("{}", mixed(at)) },
        |at| format!("{:016x}", mixed(at)),
        |at| format!("https://example.org/path/{:08}", mixed(at) % 100_000),
        |at| format!("{}", mixed(at) % 30),
        |at| "x".repeat((mixed(at) % 40) as usize),
        |at| format!("same beginning of them all {}{:040}", mixed(at) % 2, mixed(at + 1) % 50),
        |at| if at.is_multiple_of(1000) { "long ".repeat(20_000) } else { format!("{at}") },
        |at| {
            let host =
                ["http://example.org/", "https://www.example.org/"][(mixed(at) % 2) as usize];
            format!("{host}some/folder/or/other/{}", mixed(at + 1) % 50_000)
        },
        |at| format!("{}{}", "\0".repeat((mixed(at) % 30) as usize), at % 3),
    ];
    for text in patterns {
        let rows = 120_000;
        let texts = StringArray::from_iter_values((0..rows).map(text));
        let numbers = Int64Array::from_iter_values(0..rows as i64);
        let batch = RecordBatch::try_from_iter([
            ("text", Arc::new(texts) as ArrayRef),
            ("row", Arc::new(numbers) as ArrayRef),
        ])
        .unwrap();
        for by in [SortKey::new("text"), SortKey::new("text").descending()] {
            check(&batch.schema(), std::slice::from_ref(&batch), &[by], 2);
        }
    }
}

#[test]
fn nan_stands_where_it_is_told_and_keeps_its_bits() {
    let odd = f64::from_bits(0xfff8_0000_0000_0123);
    let values = Float64Array::from(vec![1.0, odd, f64::INFINITY, -0.0, f64::NAN, 0.0, -1.0]);
    let batch = RecordBatch::try_from_iter([("x", Arc::new(values) as ArrayRef)]).unwrap();
    let sorted = |nan| {
        let options = SortOptions { nan, ..SortOptions::default() };
        let sorted = sort_batches(
            &batch.schema(),
            std::slice::from_ref(&batch),
            &[SortKey::new("x")],
            &options,
        );
        let column = sorted.unwrap()[0].column(0).as_primitive::<Float64Type>().clone();
        column.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();

    let inf = f64::INFINITY;
    assert_eq!(sorted(NanOrder::Greatest), bits(&[-1.0, -0.0, 0.0, 1.0, inf, odd, f64::NAN]));
    assert_eq!(sorted(NanOrder::Smallest), bits(&[odd, f64::NAN, -1.0, -0.0, 0.0, 1.0, inf]));
}

#[test]
fn the_schema_tells_the_order() {
    let batch = numbered([3, 1, 2].into_iter());
    let by = [SortKey::new("key").descending(), SortKey::new("row").nulls_first()];

    let sorted = sort_batches(&batch.schema(), &[batch], &by, &SortOptions::default()).unwrap();

    assert_eq!(
        sorted[0].schema().metadata()[SORTED_BY],
        concat!(
            r#"[{"column":"key","descending":true,"nulls_first":false},"#,
            r#"{"column":"row","descending":false,"nulls_first":true}]"#
        )
    );
    assert_eq!(sorted[0].column(0).as_primitive::<Int64Type>().values(), &[3, 2, 1]);
}

#[test]
fn a_sort_can_be_cancelled_at_any_stage() {
    let batch = numbered((0..3_000_000).map(|at| mixed(at) as i64));
    for stop_after in [0, 1, 2] {
        let told = AtomicUsize::new(0);
        let progress = |_| {
            let told = told.fetch_add(1, Ordering::Relaxed);
            if told >= stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = SortOptions { progress: Some(&progress), ..SortOptions::default() };

        let sorted = sort_batches(
            &batch.schema(),
            std::slice::from_ref(&batch),
            &[SortKey::new("key")],
            &options,
        );

        // A fast machine may be through before it is told as often.
        if told.load(Ordering::Relaxed) > stop_after {
            assert_eq!(sorted.unwrap_err().kind(), Kind::Interrupted);
        }
    }
}

#[test]
fn what_cannot_be_sorted_is_refused_in_so_many_words() {
    let batch = numbered([1].into_iter());
    let refused = |by: &[SortKey]| {
        let sorted = sort_batches(
            &batch.schema(),
            std::slice::from_ref(&batch),
            by,
            &SortOptions::default(),
        );
        let error = sorted.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        error.to_string()
    };

    assert_eq!(refused(&[]), "nothing to sort by: name at least one column");
    assert_eq!(refused(&[SortKey::new("kay")]), "no column kay; there are key, row");
    let many: Vec<_> = (0..65).map(|_| SortKey::new("key")).collect();
    assert_eq!(refused(&many), "65 columns to sort by; at most 64");

    let field = Field::new("key", DataType::Int64, false);
    let other = Arc::new(Schema::new(vec![field]));
    let sorted = sort_batches(&other, &[batch], &[SortKey::new("key")], &SortOptions::default());
    assert!(sorted.unwrap_err().to_string().contains("other columns"));
}

/// Run by hand: `cargo test --release -p sheaf-sort --test sort -- --ignored`.
#[test]
#[ignore = "takes 11 GB of memory"]
fn more_rows_than_31_bits_count_are_sorted() {
    let rows = (1_u64 << 31) + 1000;
    let values: Vec<u8> = (0..rows).map(|at| mixed(at) as u8).collect();
    let mut counts = [0_u64; 256];
    values.iter().for_each(|value| counts[usize::from(*value)] += 1);
    let column: ArrayRef = Arc::new(UInt8Array::from(values));
    let batch = RecordBatch::try_from_iter([("k", column)]).unwrap();

    let by = [SortKey::new("k")];
    let sorted = sort_batches(&batch.schema(), &[batch], &by, &SortOptions::default()).unwrap();

    let mut last = 0;
    for batch in &sorted {
        for value in batch.column(0).as_primitive::<UInt8Type>().values() {
            assert!(last <= *value);
            last = *value;
            counts[usize::from(last)] -= 1;
        }
    }
    assert_eq!(counts, [0; 256]);
}

#[test]
#[ignore = "takes 8 GB of memory"]
fn more_bytes_of_strings_than_32_bit_offsets_reach_are_sorted() {
    let batch = |at: u64| {
        let texts = (0..8_000_000).map(|row| format!("{:0100}", mixed(at * 8_000_000 + row)));
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        RecordBatch::try_from_iter([("k", column)]).unwrap()
    };
    let batches = [batch(0), batch(1), batch(2)];

    let by = [SortKey::new("k")];
    let sorted =
        sort_batches(&batches[0].schema(), &batches, &by, &SortOptions::default()).unwrap();

    let (mut rows, mut last) = (0, String::new());
    for batch in &sorted {
        for text in batch.column(0).as_string::<i32>().iter().flatten() {
            assert!(last.as_str() <= text);
            last.replace_range(.., text);
            rows += 1;
        }
    }
    assert_eq!(rows, 24_000_000);
}
