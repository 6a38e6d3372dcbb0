//! What statements change: each in one step, or not at all.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use sheaf_store::Kind;

use crate::harness::{House, MIB};

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
