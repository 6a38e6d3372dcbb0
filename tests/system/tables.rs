//! Tables come back as they were put, every type of them, and readers copy nothing.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int8Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use sheaf_ipc::ALIGNMENT;
use sheaf_store::{Client, Kind, PutOptions, Table};
use sheaf_tests::{Room, eventually};

use crate::samples;

const MIB: u64 = 1 << 20;

fn put(store: &Client, name: &str, batches: &[RecordBatch]) -> Table {
    let schema = batches[0].schema();
    store.put(name, &schema, batches, &PutOptions::default()).unwrap();
    store.get(name).unwrap().table().unwrap()
}

fn read(table: &Table) -> Vec<RecordBatch> {
    table.batches().collect::<Result<_, _>>().unwrap()
}

fn numbers(start: i64, rows: i64) -> RecordBatch {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + rows));
    RecordBatch::try_from_iter([("n", values)]).unwrap()
}

/// All buffers of an array that hold anything.
fn buffers(data: &ArrayData) -> Vec<Buffer> {
    let nulls = data.nulls().map(|nulls| nulls.buffer().clone());
    let mut found: Vec<Buffer> = data.buffers().iter().cloned().chain(nulls).collect();
    found.retain(|buffer| !buffer.is_empty());
    found.extend(data.child_data().iter().flat_map(buffers));
    found
}

#[test]
fn every_type_comes_back_with_its_nulls_and_slices() {
    let room = Room::without_pool(256 << 20);
    let store = room.connect();
    for rows in [0, 1, 100, 20_000] {
        let all = samples::all_types(rows);
        let batches = [all.clone(), all.slice(rows / 3, rows / 2), all.slice(rows / 7, rows / 9)];

        let table = put(&store, &format!("t{rows}"), &batches);

        assert_eq!(table.nbytes() > MIB, rows == 20_000, "small ones and a large one");
        assert_eq!(table.schema(), &all.schema());
        for (index, batch) in batches.iter().enumerate() {
            let got = table.batch(index).unwrap();
            for (column, expected) in got.columns().iter().zip(batch.columns()) {
                assert_eq!(column, expected, "{rows} rows, batch {index}");
            }
        }
    }
}

#[test]
fn every_buffer_lies_in_the_mapping_aligned_for_a_processor() {
    let room = Room::without_pool(256 << 20);
    let store = room.connect();
    for rows in [100, 20_000] {
        let table = put(&store, &format!("t{rows}"), &[samples::all_types(rows)]);
        let range = table.mapped_range().expect("it is too large for a message");

        for column in table.batch(0).unwrap().columns() {
            for buffer in buffers(&column.to_data()) {
                let start = buffer.as_ptr().addr();
                let inside = range.contains(&start) && start + buffer.len() <= range.end;
                assert!(inside, "a buffer of {} was copied", column.data_type());
                assert_eq!(start % ALIGNMENT, 0, "a buffer of {}", column.data_type());
            }
        }
    }
}

#[test]
fn two_readers_see_the_same_memory() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for rows in [1000, 500_000] {
        let name = format!("t{rows}");
        let first = put(&store, &name, &[numbers(0, rows)]);

        let second = store.get(&name).unwrap().table().unwrap();

        assert_eq!(first.mapped_range(), second.mapped_range());
    }
}

#[test]
fn dictionaries_are_kept_as_dictionaries() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for rows in [1000, 300_000] {
        let column = samples::dictionary::<Int32Type>(rows, "x");

        let table = put(&store, &format!("t{rows}"), &[samples::batch(vec![column.clone()])]);

        let got = table.batch(0).unwrap();
        let (got, put) = (got.column(0).as_dictionary::<Int32Type>(), column.as_dictionary());
        assert_eq!(got.data_type(), put.data_type());
        assert_eq!(got.keys(), put.keys());
        assert_eq!(got.values(), put.values());
    }
}

#[test]
fn metadata_of_schema_field_and_object_come_back() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let map = |key: &str| HashMap::from([(key.to_owned(), "value".to_owned())]);
    let field = Field::new("n", DataType::Int64, false).with_metadata(map("field"));
    let schema = Arc::new(Schema::new(vec![field]).with_metadata(map("schema")));
    let batch = numbers(0, 10).with_schema(schema.clone()).unwrap();
    let options = PutOptions { metadata: b"object".to_vec(), ..PutOptions::default() };
    store.put("t", &schema, &[batch], &options).unwrap();

    let object = store.get("t").unwrap();

    assert_eq!(&object.info().metadata[..], b"object");
    assert_eq!(object.table().unwrap().schema(), &schema);
    assert_eq!(object.table().unwrap().batch(0).unwrap().schema(), schema);
}

#[test]
fn tables_without_rows_columns_or_batches_come_back() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let options = RecordBatchOptions::new().with_row_count(Some(7));
    let none = Arc::new(Schema::empty());
    let no_columns = RecordBatch::try_new_with_options(none.clone(), vec![], &options).unwrap();
    store.put("no batches", &numbers(0, 0).schema(), &[], &PutOptions::default()).unwrap();
    store.put("nothing", &none, &[], &PutOptions::default()).unwrap();

    let no_rows = put(&store, "no rows", &[numbers(0, 0), numbers(0, 0)]);
    let no_columns = put(&store, "no columns", &[no_columns.clone(), no_columns]);
    let no_batches = store.get("no batches").unwrap().table().unwrap();
    let nothing = store.get("nothing").unwrap().table().unwrap();

    assert_eq!(read(&no_rows), [numbers(0, 0), numbers(0, 0)]);
    assert_eq!((no_columns.num_rows(), no_columns.num_batches()), (14, 2));
    assert_eq!(no_columns.batch(1).unwrap().num_rows(), 7);
    assert_eq!(no_batches.schema(), &numbers(0, 0).schema());
    assert_eq!((no_batches.num_rows(), no_batches.num_batches()), (0, 0));
    assert_eq!(no_batches.batch(0).unwrap_err().kind(), Kind::Invalid);
    assert_eq!((nothing.num_rows(), nothing.schema().fields().len()), (0, 0));
}

#[test]
fn a_batch_of_another_schema_is_refused_and_leaves_nothing() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let other: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let other = RecordBatch::try_from_iter([("n", other)]).unwrap();

    let refused = store.put("t", &numbers(0, 1).schema(), &[other], &PutOptions::default());

    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.stat().unwrap().get("objects"), 0);
}

#[test]
fn an_object_is_a_file_that_arrow_reads() {
    let room = Room::without_pool(256 << 20);
    let store = room.connect();
    for rows in [50, 20_000] {
        let batch = samples::all_types(rows);
        let table = put(&store, &format!("t{rows}"), &[batch.clone(), batch.slice(3, 4)]);

        let file = Cursor::new(table.object().as_bytes());
        let reader = FileReader::try_new(file, None).unwrap();

        assert_eq!(reader.schema(), batch.schema());
        let batches: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
        assert_eq!(batches, [batch.clone(), batch.slice(3, 4)]);
    }
}

fn measurements() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("time", time, false),
        Field::new("value", DataType::Float64, true),
    ]))
}

#[test]
fn what_is_built_in_place_lies_where_it_was_written() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for rows in [1000, 400_000] {
        let name = format!("t{rows}");
        let mut table = store.build(&name, &measurements(), rows, &PutOptions::default()).unwrap();
        let times = table.column_mut::<TimestampMicrosecondType>(0).unwrap();
        times.iter_mut().enumerate().for_each(|(row, time)| *time = row as i64 * 1000);
        let times = times.as_ptr().addr();
        let values = table.column_mut::<Float64Type>(1).unwrap();
        values.iter_mut().enumerate().for_each(|(row, value)| *value = row as f64 / 2.0);
        let apart = values.as_ptr().addr() - times;
        assert!(table.validity_mut(0).is_none(), "it has no nulls");
        table.validity_mut(1).unwrap()[..2].copy_from_slice(&[0b1111_0110, 0b0111_1111]);

        let info = table.seal().unwrap();
        let batch = store.get(&name).unwrap().table().unwrap().batch(0).unwrap();

        assert_eq!((info.rows, info.batches), (rows as u64, 1));
        assert_eq!(batch.schema(), measurements());
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let values = batch.column(1).as_primitive::<Float64Type>();
        let start = times.values().as_ptr().addr();
        assert_eq!(values.values().as_ptr().addr() - start, apart, "nothing was moved");
        assert!(times.values().iter().enumerate().all(|(row, time)| *time == row as i64 * 1000));
        assert_eq!(values.null_count(), 3);
        let nulls: Vec<_> = (0..rows).filter(|row| values.is_null(*row)).collect();
        assert_eq!(nulls, [0, 3, 15]);
        assert_eq!(values.value(rows - 1), (rows - 1) as f64 / 2.0);
    }
}

#[test]
fn what_is_built_and_never_touched_is_zero_and_valid() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    // The second one gets memory that had other bytes in it.
    for name in ["a", "b"] {
        let table = store.build(name, &measurements(), 300_000, &PutOptions::default()).unwrap();
        table.seal().unwrap();
        let batch = store.get(name).unwrap().table().unwrap().batch(0).unwrap();
        let values = batch.column(1).as_primitive::<Float64Type>();
        assert_eq!(values.null_count(), 0);
        assert!(values.values().iter().all(|value| *value == 0.0));
        store.delete(name).unwrap();
        store.put_bytes("dirt", &[0xee; 5 << 20], &PutOptions::default()).unwrap();
        store.delete("dirt").unwrap();
    }
}

#[test]
fn a_column_is_built_as_its_own_type_only() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let mut table = store.build("t", &measurements(), 10, &PutOptions::default()).unwrap();

    let as_integers = table.column_mut::<Int64Type>(1).map(|_| ());
    let narrower = table.column_mut::<Int32Type>(0).map(|_| ());

    assert_eq!(as_integers.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(narrower.unwrap_err().kind(), Kind::Invalid);
    drop(table);
    let texts = Arc::new(Schema::new(vec![Field::new("s", DataType::Utf8, true)]));
    let refused = store.build("t", &texts, 10, &PutOptions::default()).map(|_| ());
    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
    eventually("nothing is left", || store.stat().unwrap().get("objects") == 0);
}

#[test]
fn a_writer_grows_from_small_to_large() {
    let room = Room::without_pool(256 << 20);
    let store = room.connect();
    let schema = numbers(0, 0).schema();
    let mut writer = store.writer("t", &schema, &PutOptions::default()).unwrap();
    for index in 0..500 {
        writer.write(&numbers(index * 1000, 1000 + index)).unwrap();
    }

    let info = writer.finish().unwrap();
    let table = store.get("t").unwrap().table().unwrap();

    assert_eq!((info.batches, info.rows), (500, (0..500).map(|index| 1000 + index).sum()));
    assert!(info.bytes > 4 * MIB);
    for index in 0..500 {
        let batch = table.batch(index as usize).unwrap();
        assert_eq!(batch, numbers(index * 1000, 1000 + index));
    }
    let stat = store.stat().unwrap();
    assert_eq!(stat.get("sealed_bytes"), info.charged_bytes);
    assert!(info.charged_bytes < info.bytes + 4096, "what it had ahead of need went back");
}

#[test]
fn a_writer_that_stays_small_or_writes_nothing_is_a_table_too() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let schema = numbers(0, 0).schema();
    let empty = store.writer("empty", &schema, &PutOptions::default()).unwrap();
    let mut small = store.writer("small", &schema, &PutOptions::default()).unwrap();

    empty.finish().unwrap();
    small.write(&numbers(0, 3)).unwrap();
    small.write(&numbers(3, 4)).unwrap();
    small.finish().unwrap();

    let table = |name: &str| store.get(name).unwrap().table().unwrap();
    assert_eq!((table("empty").num_batches(), table("empty").schema()), (0, &schema));
    assert_eq!(read(&table("small")), [numbers(0, 3), numbers(3, 4)]);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for rows in [10, 1_000_000] {
        let schema = numbers(0, 0).schema();
        let mut writer = store.writer("t", &schema, &PutOptions::default()).unwrap();
        writer.write(&numbers(0, rows)).unwrap();

        drop(writer);

        assert_eq!(store.get("t").unwrap_err().kind(), Kind::NotFound);
        eventually("its memory is back", || {
            let stat = store.stat().unwrap();
            stat.get("free_bytes") + stat.get("slack_bytes") == stat.get("budget_bytes")
        });
    }
}

#[test]
fn a_writer_that_finds_no_room_keeps_what_it_has() {
    let room = Room::without_pool(16 << 20);
    let store = room.connect();
    let schema = numbers(0, 0).schema();
    let mut writer = store.writer("t", &schema, &PutOptions::default()).unwrap();
    let mut written = 0;
    let error = loop {
        // A little less than 2 MiB: the last one that fits leaves room for the footer.
        match writer.write(&numbers(written * 260_000, 260_000)) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    let bytes = writer.nbytes();
    let again = writer.write(&numbers(0, 260_000)).unwrap_err();
    assert_eq!((error.kind(), again.kind()), (Kind::Full, Kind::Full));
    assert_eq!(writer.nbytes(), bytes);

    writer.write(&numbers(-5, 5)).unwrap();
    writer.finish().unwrap();

    let batches = read(&store.get("t").unwrap().table().unwrap());
    assert_eq!(batches.len() as i64, written + 1);
    assert_eq!(batches.last().unwrap(), &numbers(-5, 5));
    for (index, batch) in batches[..written as usize].iter().enumerate() {
        assert_eq!(batch, &numbers(index as i64 * 260_000, 260_000));
    }
}

#[test]
fn a_writer_refuses_a_batch_of_another_schema_and_goes_on() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let other: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let other = RecordBatch::try_from_iter([("n", other)]).unwrap();
    let mut writer = store.writer("t", &numbers(0, 0).schema(), &PutOptions::default()).unwrap();
    writer.write(&numbers(0, 10)).unwrap();

    let refused = writer.write(&other);
    writer.write(&numbers(10, 10)).unwrap();
    writer.finish().unwrap();

    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
    let table = store.get("t").unwrap().table().unwrap();
    assert_eq!(read(&table), [numbers(0, 10), numbers(10, 10)]);
}

/// Words, as keys of one byte into a dictionary that has these and no others.
fn words(range: std::ops::Range<usize>) -> RecordBatch {
    let values = StringArray::from_iter_values(range.clone().map(|number| format!("w{number}")));
    let keys = Int8Array::from_iter_values((0..range.len()).map(|key| key as i8));
    let column: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    RecordBatch::try_from_iter([("word", column)]).unwrap()
}

fn spelled(batch: &RecordBatch) -> Vec<String> {
    let column = batch.column(0).as_dictionary::<Int8Type>();
    let column = column.downcast_dict::<StringArray>().unwrap();
    column.into_iter().map(|word| word.unwrap().to_owned()).collect()
}

#[test]
fn a_writer_refuses_a_batch_that_outgrows_its_dictionary_and_goes_on() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let schema = words(0..1).schema();
    let mut writer = store.writer("t", &schema, &PutOptions::default()).unwrap();
    let written = [words(0..100), words(150..170), words(90..105)];
    writer.write(&written[0]).unwrap();

    // Keys of one byte reach 128 words; of those refused some come again, at another place.
    let refused = writer.write(&words(100..200));
    writer.write(&written[1]).unwrap();
    writer.write(&written[2]).unwrap();
    writer.finish().unwrap();

    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
    let table = store.get("t").unwrap().table().unwrap();
    assert_eq!(table.num_batches(), 3);
    for (got, batch) in read(&table).iter().zip(&written) {
        assert_eq!(spelled(got), spelled(batch));
    }
}
