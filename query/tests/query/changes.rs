//! What statements change: each in one step, or not at all.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, IntervalDayTimeArray,
    IntervalMonthDayNanoArray, IntervalYearMonthArray, RecordBatch, StringArray, UInt64Array,
};
use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano};
use sheaf_store::sql::{IfAbsent, IfPresent, Ingest, Question, Text};
use sheaf_store::{Kind, Name, PutOptions};

use crate::harness::{House, MIB, block_on, question, told};

#[test]
fn tables_are_created_replaced_extended_and_dropped() {
    let house = House::new();
    house.count("t", 1000);

    assert_eq!(house.wrote("create table few as select n, s from t where n < 10"), 10);
    assert_eq!(house.sql("create table few as select 1 as n").unwrap_err().kind(), Kind::Exists);
    assert_eq!(house.wrote("create table if not exists few as select 1 as n"), 0);
    assert_eq!(house.number("select sum(n) from few"), 45);
    assert_eq!(house.wrote("insert into few values (100, 'a'), (200, 'b')"), 2);
    assert_eq!(house.number("select sum(n) from few"), 345);
    assert_eq!(house.wrote("insert into few (s, n) select s, n from t where n < 3"), 3);
    assert_eq!(house.wrote("insert into few select * from few"), 15);
    assert_eq!(house.number("select count(*) from few"), 30);
    assert_eq!(house.wrote("create or replace table few as select n from few where n > 99"), 4);
    assert_eq!(house.wrote("insert overwrite few select 7"), 1);
    assert_eq!(house.told("select * from few"), "7");
    house.wrote("drop table few");
    assert_eq!(house.sql("drop table few").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(house.wrote("drop table if exists few"), 0);
    assert_eq!(house.wrote("create table empty (a int, b varchar not null)"), 0);
    assert_eq!(house.wrote("insert into empty values (1, 'x')"), 1);
    let null = house.sql("insert into empty values (1, null)").unwrap_err();
    assert_eq!(null.kind(), Kind::Invalid, "{null}");
    assert_eq!(house.told("select * from empty"), "1|x");
}

#[test]
fn what_fails_leaves_nothing_and_changes_nothing() {
    let house = House::with(64 * MIB, |_, _| {});
    house.count("t", 100_000);
    let before = house.client.get("t").unwrap().info().id;

    let statements = [
        "create table bad as select 1 / (n - 99999) from t",
        "create or replace table t as select 1 / (n - 99999) as n from t",
        "insert into t select 1 / (n - 99999), f, s from t",
        "create table big as select a.n, b.s from t a cross join t b",
        "create table twice as select n, n from t",
    ];
    for statement in statements {
        house.sql(statement).unwrap_err();
    }

    assert_eq!(house.client.get("t").unwrap().info().id, before);
    assert_eq!(house.told("select name, state from sheaf.system.objects"), "t|sealed");
}

#[test]
fn rows_inserted_at_the_same_time_are_all_there() {
    let house = House::new();
    house.wrote("create table t (n bigint)");

    std::thread::scope(|scope| {
        for writer in 0..4 {
            let house = &house;
            scope.spawn(move || {
                for row in 0..10 {
                    house.wrote(&format!("insert into t values ({})", 10 * writer + row));
                }
            });
        }
    });

    assert_eq!(house.told("select count(*), count(distinct n) from t"), "40|40");
}

#[test]
fn what_is_created_in_order_is_sorted_by_the_sort_and_not_again() {
    let house = House::new();
    let values = (0..200_000_i64).map(|row| row * 7919 % 200_003);
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    let other: ArrayRef = Arc::new(Float64Array::from_iter_values((0..200_000).map(f64::from)));
    house.put("t", vec![("k", column), ("v", other)]);

    house.wrote("create table by_k as select * from t order by k desc");
    house.wrote("create table some as select k, v + 1 as w from t where k > 100 order by k, w");
    let sorted = house.client.get("by_k").unwrap().table().unwrap();
    assert!(sorted.schema().metadata().contains_key(sheaf_sort::SORTED_BY));

    let plan = house.explained("select * from by_k order by k desc", "output_ordering=k@0 DESC");
    assert!(!plan.contains("SortExec"), "{plan}");
    let plan = house.explained("select k, w from some order by k, w", "output_ordering=k@0 ASC");
    assert!(!plan.contains("SortExec"), "{plan}");
    assert_eq!(house.number("select k from by_k limit 1"), 200_002);
    assert_eq!(
        house.number(
            "select count(*) from (select k, lag(k) over (order by k desc) as l from by_k) \
             where l < k"
        ),
        0
    );
    // With rows behind its end the table is not in order any more.
    house.wrote("insert into by_k values (1000000, 0)");
    let plan = house.told("explain select * from by_k order by k desc");
    assert!(plan.contains("SortExec"), "{plan}");
}

#[test]
fn a_claim_of_order_that_is_false_is_not_believed() {
    let house = House::new();
    let batch = house.count("t", 1000);
    let keys = [sheaf_sort::SortKey::new("n").descending()];
    let lying = sheaf_sort::sorted_schema(&batch.schema(), &keys).unwrap();
    let batch = batch.with_schema(lying.clone()).unwrap();
    house.client.put("lie", &lying, &[batch], &Default::default()).unwrap();

    assert_eq!(house.number("select n from lie order by n desc limit 1"), 999);
    assert!(house.told("explain select * from lie order by n desc").contains("SortExec"));
}

#[test]
fn values_that_do_not_fit_are_not_put() {
    let house = House::new();
    house.put("t", vec![("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let ingest = |column: ArrayRef| {
        house.put("new", vec![("n", column)]);
        let rows = house.client.get("new").unwrap().table().unwrap();
        let ingest = Ingest {
            table: Name::new("t").unwrap(),
            rows,
            if_absent: IfAbsent::Fail,
            if_present: IfPresent::Append,
        };
        let question = Question { text: Text::Ingest(ingest), ..question("") };
        let session = house.session();
        block_on(block_on(session.plan(question))?.object(None)).map(drop)
    };

    ingest(Arc::new(Float64Array::from(vec![2.0]))).unwrap();
    ingest(Arc::new(Int32Array::from(vec![3]))).unwrap();
    let error = ingest(Arc::new(Float64Array::from(vec![1.5]))).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("would be lost"), "{error}");
    ingest(Arc::new(UInt64Array::from(vec![u64::MAX]))).unwrap_err();
    assert_eq!(house.told("select n from t order by n"), "1\n2\n3");
}

#[test]
fn many_rows_of_parameters_are_inserted_at_once() {
    let house = House::new();
    house.wrote("create table t (n bigint, s varchar)");
    let session = house.session();
    let run = |text: &str, columns: Vec<(&str, ArrayRef)>| {
        let values = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        let question = Question { parameters: Some(values.unwrap()), ..question(text) };
        block_on(block_on(session.plan(question))?.object(None))?.table()
    };
    let numbers = |values: Vec<Option<i64>>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let words: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));

    let three = numbers(vec![Some(1), Some(2), None]);
    let wrote = run("insert into t values (?, ?)", vec![("1", three), ("2", words)]).unwrap();
    assert_eq!(told(&wrote), "3");
    assert_eq!(house.told("select * from t order by n"), "1|a\n2|\n|c");

    let before = house.client.get("t").unwrap().info().id;
    let some_zero = numbers(vec![Some(1), Some(0), Some(5)]);
    let failed = run("insert into t values (10 / ?, 'x')", vec![("1", some_zero)]).unwrap_err();
    assert!(failed.to_string().contains("row 2 of the parameters: division by zero"), "{failed}");
    assert_eq!(house.client.get("t").unwrap().info().id, before, "none is there");

    // A query's rows follow each other, whatever is null.
    let some_null = numbers(vec![Some(7), None]);
    let rows = run("select ? as x, 'y' as y", vec![("1", some_null)]).unwrap();
    assert_eq!(told(&rows), "7|y\n|y");
    // Other changes are made one after the other.
    let twice = numbers(vec![Some(1), Some(2)]);
    let again = run("create table u as select ?", vec![("1", twice)]).unwrap_err();
    assert!(again.to_string().contains("the 1 before it are done"), "{again}");
    let none = run("select ?", vec![("1", numbers(vec![]))]).unwrap_err();
    assert_eq!(none.kind(), Kind::Invalid);
}

#[test]
fn intervals_are_values_of_parameters() {
    let house = House::new();
    let session = house.session();
    let run = |value: ArrayRef| {
        let values = RecordBatch::try_from_iter([("1", value.clone())]).unwrap();
        let question = Question { parameters: Some(values), ..question("select ? as i") };
        let table = block_on(block_on(session.plan(question)).unwrap().object(None)).unwrap();
        let batch = table.table().unwrap().batch(0).unwrap();
        assert_eq!(batch.column(0), &value);
    };
    for (months, days, nanoseconds) in [(1, 2, 3), (0, 0, 0), (-14, 5, -1_500_000_000), (0, -1, -7)]
    {
        let value = IntervalMonthDayNano::new(months, days, nanoseconds);
        run(Arc::new(IntervalMonthDayNanoArray::from(vec![value])));
    }
    for (days, milliseconds) in [(2, 3), (-1, -1500), (0, 86_400_001)] {
        let value = IntervalDayTime::new(days, milliseconds);
        run(Arc::new(IntervalDayTimeArray::from(vec![value])));
    }
    run(Arc::new(IntervalYearMonthArray::from(vec![25])));
    run(Arc::new(IntervalYearMonthArray::from(vec![-1])));
}

#[test]
fn an_external_table_is_not_taken_for_a_stored_one() {
    let house = House::with(64 * MIB, |options, folder| options.folders = vec![folder.to_owned()]);
    let path = house.folder.path().canonicalize().unwrap().join("e.csv");
    std::fs::write(&path, "n\n1\n").unwrap();
    let session = house.session();
    let ask = |text: &str| block_on(block_on(session.plan(question(text)))?.object(None));
    ask(&format!("create external table e stored as csv location '{}'", path.display())).unwrap();
    // Somebody else's, of the same name.
    house.wrote("create table e as select 7 as n");
    let before = house.client.get("e").unwrap().info().id;

    for text in ["insert into e values (2)", "create or replace table e as select 3 as n"] {
        let error = ask(text).unwrap_err();
        assert!(error.to_string().contains("external"), "{text}: {error}");
    }
    assert_eq!(house.client.get("e").unwrap().info().id, before);
    ask("drop table e").unwrap();
    ask("insert into e values (8)").unwrap();
    assert_eq!(house.number("select count(*) from e"), 2);
}

#[test]
fn bytes_are_no_table_to_be_replaced() {
    let house = House::new();
    house.client.put_bytes("b", b"precious", &PutOptions::default()).unwrap();

    for text in ["create or replace table b as select 1 as n", "create table b as select 1 as n"] {
        let error = house.sql(text).unwrap_err();
        assert!(error.to_string().contains("bytes"), "{text}: {error}");
    }
    assert_eq!(house.client.get("b").unwrap().as_bytes(), b"precious");
}

#[test]
fn tables_made_and_dropped_at_the_same_time_are_there_or_not() {
    let house = House::new();
    let ask = |text: &str| {
        let client = sheaf_store::connect(&house.url()).unwrap();
        for _ in 0..40 {
            client.sql(text, None).map(drop).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    };
    std::thread::scope(|scope| {
        for text in [
            "create table if not exists r as select 1 as n",
            "create table if not exists r as select 2 as n",
            "create or replace table r as select value from generate_series(1, 50000)",
            "drop table if exists r",
        ] {
            scope.spawn(move || ask(text));
        }
    });
}

#[test]
fn a_name_that_is_taken_is_told_before_the_work() {
    let house = House::new();
    house.count("t", 1_000_000);
    let start = std::time::Instant::now();

    let taken = house
        .client
        .sql("select sum(a.n * b.n % 7) from t a, t b", Some((b"t", &PutOptions::default())));

    assert_eq!(taken.unwrap_err().kind(), Kind::Exists);
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}
