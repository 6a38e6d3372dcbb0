//! What every [`Store`] promises, as functions that its tests call.
//!
//! Each takes an empty store and panics where a promise is broken. [`all`] runs them in turn and
//! leaves the store empty between them.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::client::Object;
use crate::error::{Kind, Result};
use crate::object::{Info, ObjectKind, PutOptions, State};
use crate::store::Store;

/// A promise: its name and the function that tests it.
pub type Promise = (&'static str, fn(&dyn Store));

/// Every promise.
pub const ALL: &[Promise] = &[
    ("a table comes back as it was put", a_table_comes_back_as_it_was_put),
    ("a table of no rows comes back", a_table_of_no_rows_comes_back),
    ("bytes come back as they were put", bytes_come_back_as_they_were_put),
    ("a name is bound once", a_name_is_bound_once),
    ("replace leaves old readers alone", replace_leaves_old_readers_alone),
    ("delete leaves readers alone", delete_leaves_readers_alone),
    ("what is missing is not found", what_is_missing_is_not_found),
    ("a wait ends at its limit", a_wait_ends_at_its_limit),
    ("a wait ends when the object is sealed", a_wait_ends_when_the_object_is_sealed),
    ("a get may name an object twice", a_get_may_name_an_object_twice),
    ("list goes by prefix in order", list_goes_by_prefix_in_order),
    ("a bad name is refused", a_bad_name_is_refused),
    ("any bytes are a name", any_bytes_are_a_name),
    ("a writer's batches are a table once it is finished", a_writers_batches_are_a_table),
    ("nothing is left of a writer that is dropped", nothing_is_left_of_a_dropped_writer),
    ("what has other columns is refused", what_has_other_columns_is_refused),
    ("info and list tell the same", info_and_list_tell_the_same),
    ("droppable objects are dropped on demand", droppable_objects_are_dropped_on_demand),
    ("a full store says so and loses nothing", a_full_store_says_so_and_loses_nothing),
];

/// Runs every promise on stores that `open` makes, each of them empty.
///
/// # Panics
/// Where a promise is broken; the promise's name is printed before.
pub fn all<S: Store>(mut open: impl FnMut() -> S) {
    for (name, promise) in ALL {
        println!("conformance: {name}");
        promise(&open());
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("s", DataType::Utf8, true),
    ]))
}

fn batch(start: i64, rows: i64) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + rows));
    let texts: ArrayRef = Arc::new(StringArray::from_iter(
        (start..start + rows).map(|row| (row % 3 != 0).then(|| format!("row {row}"))),
    ));
    RecordBatch::try_new(schema(), vec![keys, texts]).expect("the columns fit the schema")
}

fn put(store: &dyn Store, name: &str, batches: &[RecordBatch]) {
    store
        .put(name.as_bytes(), &schema(), batches, &PutOptions::default())
        .expect("a put of a sound table");
}

fn get(store: &dyn Store, name: &str, timeout: Duration) -> Result<Object> {
    let mut objects = store.get_many(&[name.as_bytes()], timeout)?;
    assert_eq!(objects.len(), 1, "one outcome for one name");
    objects.remove(0)
}

fn read(object: &Object) -> Vec<RecordBatch> {
    let table = object.table().expect("a table");
    table.batches().collect::<Result<_>>().expect("sound batches")
}

/// Batches, metadata and counts survive.
pub fn a_table_comes_back_as_it_was_put(store: &dyn Store) {
    for rows in [10, 100_000] {
        let batches = [batch(0, rows), batch(rows, 7).slice(2, 3)];
        let name = format!("t{rows}");
        let options = PutOptions { metadata: b"note".to_vec(), ..PutOptions::default() };
        let info = store
            .put(name.as_bytes(), &schema(), &batches, &options)
            .expect("a put of a sound table");
        assert_eq!((info.rows, info.batches), (rows as u64 + 3, 2));

        let object = get(store, &name, Duration::ZERO).expect("it was put");

        assert_eq!(object.info().kind, ObjectKind::Table);
        assert_eq!(&object.info().metadata[..], b"note");
        assert_eq!(object.info().rows, rows as u64 + 3);
        assert_eq!(read(&object), batches);
    }
}

/// No batches, and a batch of no rows.
pub fn a_table_of_no_rows_comes_back(store: &dyn Store) {
    put(store, "none", &[]);
    put(store, "empty", &[batch(0, 0)]);

    let none = get(store, "none", Duration::ZERO).expect("it was put");
    let empty = get(store, "empty", Duration::ZERO).expect("it was put");

    assert_eq!(none.table().expect("a table").schema(), &schema());
    assert!(read(&none).is_empty());
    assert_eq!(read(&empty), [batch(0, 0)]);
}

/// From nothing to several pages.
pub fn bytes_come_back_as_they_were_put(store: &dyn Store) {
    for len in [0usize, 1, 4096, 4097, 3 << 20] {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let name = format!("b{len}");
        store.put_bytes(name.as_bytes(), &bytes, &PutOptions::default()).expect("a put of bytes");

        let object = get(store, &name, Duration::ZERO).expect("it was put");

        assert_eq!(object.as_bytes(), bytes);
        assert_eq!(object.table().unwrap_err().kind(), Kind::Invalid);
    }
}

/// The second put is refused and changes nothing.
pub fn a_name_is_bound_once(store: &dyn Store) {
    put(store, "t", &[batch(0, 5)]);

    let again = store.put(b"t", &schema(), &[batch(9, 9)], &PutOptions::default());

    assert_eq!(again.unwrap_err().kind(), Kind::Exists);
    assert_eq!(read(&get(store, "t", Duration::ZERO).expect("it was put")), [batch(0, 5)]);
}

/// Who holds the old object keeps it; who asks now gets the new one.
pub fn replace_leaves_old_readers_alone(store: &dyn Store) {
    for rows in [5, 200_000] {
        let name = format!("t{rows}");
        put(store, &name, &[batch(0, rows)]);
        let old = get(store, &name, Duration::ZERO).expect("it was put");
        let replace = PutOptions { replace: true, ..PutOptions::default() };

        store.put(name.as_bytes(), &schema(), &[batch(1, rows)], &replace).expect("a replace");

        let new = get(store, &name, Duration::ZERO).expect("it was replaced");
        assert_eq!(read(&old), [batch(0, rows)]);
        assert_eq!(read(&new), [batch(1, rows)]);
    }
}

/// Batches outlive their object, their table and their name.
pub fn delete_leaves_readers_alone(store: &dyn Store) {
    for rows in [500, 200_000] {
        put(store, "t", &[batch(0, rows)]);
        let batches = read(&get(store, "t", Duration::ZERO).expect("it was put"));

        store.delete(b"t").expect("it is there");

        assert_eq!(get(store, "t", Duration::ZERO).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(batches, [batch(0, rows)]);
        assert_eq!(batches[0].column(0).null_count(), 0);
    }
}

/// Get, wait and delete alike.
pub fn what_is_missing_is_not_found(store: &dyn Store) {
    assert_eq!(get(store, "x", Duration::ZERO).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.delete(b"x").unwrap_err().kind(), Kind::NotFound);
}

/// A limit is a limit, and no hang.
pub fn a_wait_ends_at_its_limit(store: &dyn Store) {
    let limit = Duration::from_millis(20);
    assert_eq!(get(store, "x", limit).unwrap_err().kind(), Kind::Timeout);
    assert_eq!(store.wait(b"x", limit).unwrap_err().kind(), Kind::Timeout);
}

/// Waiting starts before the put and ends with it.
pub fn a_wait_ends_when_the_object_is_sealed(store: &dyn Store) {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| get(store, "later", Duration::from_secs(60)));
        put(store, "later", &[batch(0, 3)]);
        let object = waiting.join().expect("the waiter lives").expect("it was put in time");
        assert_eq!(read(&object), [batch(0, 3)]);
    });
    let info = store.wait(b"later", Duration::from_secs(60)).expect("it is there");
    assert_eq!(info.rows, 3);
}

/// Duplicates are answered alike, and missing ones beside them.
pub fn a_get_may_name_an_object_twice(store: &dyn Store) {
    put(store, "t", &[batch(0, 2000)]);

    let objects = store.get_many(&[b"t", b"x", b"t"], Duration::ZERO).expect("an answer for each");

    assert_eq!(objects.len(), 3);
    assert_eq!(objects[1].as_ref().unwrap_err().kind(), Kind::NotFound);
    for index in [0, 2] {
        assert_eq!(read(objects[index].as_ref().expect("it was put")), [batch(0, 2000)]);
    }
}

/// Names sort by their bytes.
pub fn list_goes_by_prefix_in_order(store: &dyn Store) {
    for name in ["b", "a/2", "a/1", "ab"] {
        put(store, name, &[batch(0, 1)]);
    }

    let names = |prefix: &str| -> Vec<String> {
        let infos = store.list(prefix.as_bytes(), false).expect("a list");
        infos.iter().map(|info| info.name.to_string()).collect()
    };

    assert_eq!(names("a/"), ["a/1", "a/2"]);
    assert_eq!(names(""), ["a/1", "a/2", "ab", "b"]);
    assert!(names("zz").is_empty());
}

/// Empty and too long.
pub fn a_bad_name_is_refused(store: &dyn Store) {
    let long = vec![b'x'; 256];
    for name in [&b""[..], &long] {
        let put = store.put_bytes(name, b"1", &PutOptions::default());
        assert_eq!(put.unwrap_err().kind(), Kind::Invalid);
    }
    let longest = vec![b'x'; 255];
    store.put_bytes(&longest, b"1", &PutOptions::default()).expect("255 bytes are a name");
}

/// Printable or not.
pub fn any_bytes_are_a_name(store: &dyn Store) {
    let names: [&[u8]; 5] =
        [b"\x00\xff", b"0x00ff", "na\u{ef}ve caf\u{e9}".as_bytes(), b" ", b"a\nb"];
    for (index, name) in names.into_iter().enumerate() {
        store.put_bytes(name, &[index as u8], &PutOptions::default()).expect("a put of bytes");
    }

    for (index, name) in names.into_iter().enumerate() {
        assert_eq!(store.get(name).expect("it was put").as_bytes(), [index as u8]);
        assert_eq!(store.info(name, false).expect("it was put").name.as_bytes(), name);
    }
    assert_eq!(store.list(b"", false).expect("a list").len(), names.len());
}

/// As many as it wrote, in order; and none before.
pub fn a_writers_batches_are_a_table(store: &dyn Store) {
    let batches = [batch(0, 1000), batch(1000, 0), batch(1000, 100_000), batch(5, 7)];
    let options = PutOptions { metadata: vec![7; 9000], ..PutOptions::default() };
    let mut writer = store.writer(b"w", &schema(), &options).expect("a writer");
    for batch in &batches {
        writer.write(batch).expect("there is room");
        assert_eq!(get(store, "w", Duration::ZERO).unwrap_err().kind(), Kind::NotFound);
    }

    let info = writer.finish().expect("a table");

    assert_eq!((info.rows, info.batches, info.state), (101_007, 4, State::Sealed));
    let object = get(store, "w", Duration::ZERO).expect("it was sealed");
    assert_eq!(read(&object), batches);
    assert_eq!(object.info().metadata, options.metadata.into());
}

/// Dropped or aborted: the name is free, and who waits is told.
pub fn nothing_is_left_of_a_dropped_writer(store: &dyn Store) {
    for aborts in [true, false] {
        std::thread::scope(|scope| {
            let mut writer =
                store.writer(b"w", &schema(), &PutOptions::default()).expect("a writer");
            writer.write(&batch(0, 1000)).expect("there is room");
            let since = std::time::Instant::now();
            while store.info(b"w", false).is_err() {
                assert!(since.elapsed() < Duration::from_secs(60), "the draft is known");
            }
            let waiting = scope.spawn(|| get(store, "w", Duration::from_secs(60)));
            while store.stat().expect("counters").get("waits") == 0 {
                assert!(since.elapsed() < Duration::from_secs(60), "it waits");
            }
            if aborts {
                writer.abort().expect("the store is there");
            } else {
                drop(writer);
            }
            let told = waiting.join().expect("the waiter lives").unwrap_err();
            assert_eq!(told.kind(), Kind::WriterGone);
        });
        assert!(store.list(b"", false).expect("a list").is_empty());
    }
}

/// By put and by writer.
pub fn what_has_other_columns_is_refused(store: &dyn Store) {
    let other =
        RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)])
            .expect("one column");

    let put = store.put(b"t", &schema(), &[batch(0, 1), other.clone()], &PutOptions::default());
    let mut writer = store.writer(b"w", &schema(), &PutOptions::default()).expect("a writer");
    let written = writer.write(&other);

    assert_eq!(put.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(written.unwrap_err().kind(), Kind::Invalid);
    drop(writer);
    assert_eq!(get(store, "t", Duration::ZERO).unwrap_err().kind(), Kind::NotFound);
}

/// And so does what a put returns.
pub fn info_and_list_tell_the_same(store: &dyn Store) {
    let options =
        PutOptions { droppable: true, metadata: b"note".to_vec(), ..PutOptions::default() };
    let put = store.put(b"t", &schema(), &[batch(0, 2000)], &options).expect("a put");

    let info = store.info(b"t", false).expect("it was put");
    let listed = store.list(b"t", false).expect("a list");
    let waited = store.wait(b"t", Duration::from_secs(60)).expect("it is there");

    assert_eq!(put, info);
    assert_eq!(
        listed,
        [Info { metadata: [].into(), ..info.clone() }],
        "a list leaves metadata out"
    );
    assert_eq!(waited, info);
    assert_eq!((info.kind, info.state, info.rows), (ObjectKind::Table, State::Sealed, 2000));
    assert!(info.droppable && info.bytes > 16_000 && info.charged_bytes >= info.bytes);
    assert_eq!(store.info(b"x", false).unwrap_err().kind(), Kind::NotFound);
}

/// The others stay.
pub fn droppable_objects_are_dropped_on_demand(store: &dyn Store) {
    let droppable = PutOptions { droppable: true, ..PutOptions::default() };
    store.put_bytes(b"kept", &[1; 100_000], &PutOptions::default()).expect("a put of bytes");
    store.put_bytes(b"cached", &[2; 100_000], &droppable).expect("a put of bytes");

    let freed = store.evict(1).expect("the store is there");

    assert!(freed >= 100_000, "{freed}");
    assert_eq!(get(store, "cached", Duration::ZERO).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(get(store, "kept", Duration::ZERO).expect("it stays").as_bytes(), [1; 100_000]);
    assert_eq!(store.stat().expect("counters").get("evictions"), 1);
}

/// More than there is, and then what fits.
pub fn a_full_store_says_so_and_loses_nothing(store: &dyn Store) {
    let budget = store.stat().expect("counters").get("budget_bytes");
    let most = usize::try_from(budget).expect("a store of a test");
    let half = vec![1; most * 2 / 3];
    store.put_bytes(b"a", &half, &PutOptions::default()).expect("there is room");

    let full = store.put_bytes(b"b", &half, &PutOptions::default());

    assert_eq!(full.unwrap_err().kind(), Kind::Full);
    store.delete(b"a").expect("it is there");
    let patient = PutOptions { wait: Duration::from_secs(60), ..PutOptions::default() };
    store.put_bytes(b"b", &half, &patient).expect("there is room again");
}
