//! What statements read: tables by name, system tables, one moment of all.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use sheaf_store::{Kind, PutOptions};

use crate::harness::{House, MIB, block_on, question, told};

fn numbers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

#[test]
fn every_table_object_is_a_table() {
    let house = House::new();
    house.count("flights", 1000);
    house.put("My Table/2024", vec![("n", numbers([1, 2]))]);

    assert_eq!(
        house.told("select s, count(*), sum(n) from flights group by 1 order by 1 limit 2"),
        "word 0|100|49500\nword 1|100|49600"
    );
    assert_eq!(house.number("select sum(n) from \"My Table/2024\""), 3);
    assert_eq!(house.number("select count(*) from sheaf.public.flights"), 1000);
    assert_eq!(house.number("select count(*) from public.FLIGHTS"), 1000);
}

#[test]
fn what_is_not_there_is_told_with_the_way_out() {
    let house = House::new();
    house.client.put_bytes("raw", b"bytes", &PutOptions::default()).unwrap();

    for (statement, kind, part) in [
        ("select * from nowhere", Kind::NotFound, "there is no table nowhere: `show tables`"),
        ("select * from raw", Kind::NotFound, "there is no table raw"),
        ("select nope from sheaf.system.objects", Kind::NotFound, "nope"),
        ("selec 1", Kind::Invalid, "selec"),
        ("select 1/0", Kind::Invalid, "division by zero"),
        ("select 1; select 2", Kind::Invalid, "2 statements"),
        ("begin", Kind::Invalid, "no transaction"),
        ("select $1 + 1", Kind::Invalid, "1 parameter"),
        ("delete from sheaf.system.objects", Kind::Invalid, "create or replace table"),
        ("create view v as select 1", Kind::Invalid, "tables can be created"),
    ] {
        let error = house.sql(statement).unwrap_err();
        assert!(error.to_string().contains(part), "{statement}: {error}");
        assert_eq!(error.kind(), kind, "{statement}: {error}");
    }
}

#[test]
fn the_catalog_and_the_store_tell_of_themselves() {
    let house = House::new();
    house.count("flights", 10);
    let held = house.client.get("flights").unwrap();

    let tables = house.told("show tables");
    assert!(tables.contains("sheaf|public|flights|BASE TABLE"), "{tables}");
    assert!(tables.contains("sheaf|system|objects"), "{tables}");
    assert!(
        house.told("describe flights").contains("n|Int64"),
        "{}",
        house.told("describe flights")
    );
    assert!(house.told("show columns from flights").contains("flights|n|Int64"));
    let objects = house.told("select name, kind, state, rows from sheaf.system.objects");
    assert_eq!(objects, "flights|table|sealed|10");
    let holders =
        house.told("select name, holds, writes from system.holders where command <> 'sheaf sql'");
    assert_eq!(holders, "");
    drop(held);
    assert!(house.told("select command from sheaf.system.clients").is_empty());
    let limit = house.told("select value from system.settings where name = 'limit.threads'");
    assert_eq!(limit, "2");
}

#[test]
fn a_statement_sees_one_moment_whatever_happens_to_the_names() {
    let house = House::new();
    house.count("a", 100_000);
    house.count("b", 100_000);
    let session = house.session();
    let text = "select (select sum(n) from a) - (select sum(n) from b), count(*) from a";

    let planned = block_on(session.plan(question(text))).unwrap();
    house.put("a", vec![("n", numbers([1]))]);
    house.client.delete("b").unwrap();
    let mut rows = planned.stream();
    let batch = block_on(rows.next()).unwrap().unwrap();

    assert_eq!(batch.column(0).as_ref(), &Int64Array::from(vec![0]) as &dyn arrow_array::Array);
    assert_eq!(
        batch.column(1).as_ref(),
        &Int64Array::from(vec![100_000]) as &dyn arrow_array::Array
    );
}

#[test]
fn tables_that_are_replaced_one_after_the_other_are_seen_so() {
    let house = House::new();
    house.put("first", vec![("n", numbers([0]))]);
    house.put("second", vec![("n", numbers([0]))]);
    let (writer, schema) = (
        house.client.clone(),
        house.client.get("first").unwrap().table().unwrap().schema().clone(),
    );
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let replacing = std::thread::spawn(move || {
        let put = PutOptions { replace: true, ..PutOptions::default() };
        let mut version = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            version += 1;
            let batch = RecordBatch::try_new(schema.clone(), vec![numbers([version])]).unwrap();
            // Nobody may see the second one ahead of the first.
            writer.put("first", &schema, std::slice::from_ref(&batch), &put).unwrap();
            writer.put("second", &schema, &[batch], &put).unwrap();
        }
    });

    for _ in 0..200 {
        let ahead = house.number("select first.n - second.n from first, second");
        assert!(ahead == 0 || ahead == 1, "{ahead}");
    }

    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    replacing.join().unwrap();
}

#[test]
fn a_result_is_an_object_and_a_whole_table_is_the_object_itself() {
    let house = House::new();
    house.count("t", 500_000);
    let stored = house.client.get("t").unwrap();

    let whole = house.client.sql("select * from t", None).unwrap();
    assert_eq!(whole.info().id, stored.info().id);
    let part = house.client.sql("select n + 1 as m from t", None).unwrap();
    assert!(part.mapped_range().is_some(), "it lies in shared memory");
    assert_eq!(part.table().unwrap().num_rows(), 500_000);
    assert!(!house.told("select name from sheaf.system.objects").contains(".sql"));
    let few = house.client.sql("select count(*) from t", None).unwrap();
    assert_eq!(told(&few.table().unwrap()), "500000");

    // What nobody holds any more is given back.
    drop(part);
    let sealed = stored.info().charged_bytes;
    for _ in 0..200 {
        let stat = house.client.stat().unwrap();
        if stat.get("retired_bytes") == 0 && stat.get("sealed_bytes") == sealed {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{:?}", house.client.stat().unwrap());
}

#[test]
fn a_result_may_have_a_name() {
    let house = House::new();
    house.count("t", 1000);
    let put = PutOptions::default();

    let object = house.client.sql("select n from t where n < 10", Some((b"few", &put))).unwrap();
    assert_eq!(object.info().name.to_string(), "few");
    assert_eq!(house.number("select sum(n) from few"), 45);

    let taken = house.client.sql("select 1 as n", Some((b"few", &put))).unwrap_err();
    assert_eq!(taken.kind(), Kind::Exists);
    let replace = PutOptions { replace: true, ..put };
    house.client.sql("select 1 as n", Some((b"few", &replace))).unwrap();
    assert_eq!(house.number("select sum(n) from few"), 1);
}

#[test]
fn a_context_of_ones_own_has_the_store_as_a_catalog() {
    let house = House::with(64 * MIB, |_, _| {});
    house.count("flights", 1000);
    let context = datafusion::prelude::SessionContext::new();

    sheaf_query::register(&context, house.client.clone()).unwrap();
    let rows = block_on(async {
        let frame = context.sql("select max(n) from sheaf.public.flights where n < 500").await;
        frame.unwrap().collect().await.unwrap()
    });

    assert_eq!(rows[0].column(0).as_ref(), &Int64Array::from(vec![499]) as &dyn arrow_array::Array);
}

#[test]
fn columns_of_one_name_are_told_apart() {
    let house = House::new();
    let field = |name: &str| Field::new(name, DataType::Int64, true);
    let schema = Arc::new(Schema::new(vec![field("a"), field("a:1"), field("a")]));
    let columns = vec![numbers([1, 2]), numbers([3, 4]), numbers([5, 6])];
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    house.client.put("dup", &schema, &[batch], &PutOptions::default()).unwrap();

    assert_eq!(house.told("select * from dup where \"a:2\" > 5"), "2|4|6");
    assert_eq!(house.number("select max(\"a:2\") from dup"), 6);
    // A name that means two columns names none of them.
    let error = house.sql("insert into dup select * from dup").unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
}

#[test]
fn errors_are_in_words_of_sql() {
    let house = House::new();
    house.count("t", 3);
    assert_eq!(house.told("show sheaf.timeout_ms"), "sheaf.timeout_ms|0");
    for (text, told) in [
        ("selec 1", "can't be read: Expected: an SQL statement, found: selec"),
        ("create view v as select 1", "there is no create view here"),
        ("create schema s", "there is no create catalog schema here"),
        ("delete from t", "there is no delete here"),
        ("set sheaf.timeout_ms = '-1'", "sheaf.timeout_ms can't be -1"),
    ] {
        let error = house.sql(text).unwrap_err();
        assert!(error.to_string().contains(told), "{text}: {error}");
        assert!(!error.to_string().contains("bug"), "{text}: {error}");
    }
}
