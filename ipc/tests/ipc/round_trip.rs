//! What is written comes back, in whole and in slices, to us and to arrow-rs.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_buffer::Buffer;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema};
use sheaf_ipc::{Encoder, File, Kind, MessageKind, Metadata, Plan};

use crate::harness::{encode, fill, open, write};
use crate::samples::{all_types, batch, columns, dictionary};

#[test]
fn every_type_comes_back() {
    for rows in [0, 1, 7, 8, 64, 200] {
        let whole = all_types(rows);

        let (file, back) = open(&write(&whole.schema(), std::slice::from_ref(&whole)));

        assert_eq!(file.schema(), &whole.schema());
        assert_eq!(back, [whole], "{rows} rows");
    }
}

#[test]
fn every_slice_of_every_type_comes_back() {
    let whole = all_types(50);
    for (start, len) in [(0, 50), (1, 49), (3, 0), (8, 16), (13, 31), (49, 1), (50, 0)] {
        let slice = whole.slice(start, len);

        let (_, back) = open(&write(&whole.schema(), std::slice::from_ref(&slice)));

        assert_eq!(back[0].num_rows(), len);
        for (i, (column, wanted)) in back[0].columns().iter().zip(slice.columns()).enumerate() {
            assert_eq!(column, wanted, "column {i}, rows {start} + {len}");
        }
    }
}

#[test]
fn slices_of_slices_inside_lists_come_back() {
    for column in columns(60) {
        let name = column.data_type().to_string();
        let lists = crate::samples::list_of(10, column.slice(5, 50)).slice(2, 6);
        let batch = batch(vec![lists]);

        let (_, back) = open(&write(&batch.schema(), std::slice::from_ref(&batch)));

        assert_eq!(back, [batch], "{name}");
    }
}

#[test]
fn a_slice_takes_no_more_than_it_shows() {
    for column in columns(4000) {
        let name = column.data_type().to_string();
        let whole = batch(vec![column]);

        let slice = Plan::new(&whole.schema(), &[whole.slice(100, 4)]).unwrap().len();

        assert!(slice < 8 << 10, "{slice} bytes for 4 rows of {name}");
    }
}

#[test]
fn arrow_reads_what_we_write() {
    let batches = [all_types(100), all_types(3), all_types(0)];

    let bytes = write(&batches[0].schema(), &batches);

    let reader = FileReader::try_new(Cursor::new(&bytes), None).unwrap();
    assert_eq!(reader.schema(), batches[0].schema());
    let back: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
    assert_eq!(back, batches);
}

#[test]
fn we_read_what_arrow_writes() {
    let batches = [all_types(100), all_types(3), all_types(0)];
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();

    let (file, back) = open(&fill(bytes.len(), |target| {
        target.iter_mut().zip(&bytes).for_each(|(to, from)| {
            to.write(*from);
        });
    }));

    assert_eq!(back, batches);
    assert_eq!(file.num_rows(), 103);
    assert_eq!(file.messages().count(), 1 + 5 + 3);
}

#[test]
fn encoder_and_plan_write_the_same_bytes() {
    let batches = [all_types(100), all_types(77).slice(5, 33)];
    let schema = batches[0].schema();

    assert_eq!(write(&schema, &batches), encode(&schema, &batches));
}

#[test]
fn threads_write_the_same_bytes() {
    let numbers = Int32Array::from_iter_values(0..5_000_000);
    let batches =
        [batch(vec![Arc::new(numbers.slice(3, 4_900_001))]), batch(vec![Arc::new(numbers)])];
    let plan = Plan::new(&batches[0].schema(), &batches).unwrap();

    let one = fill(plan.len(), |target| plan.write(target, 1));
    let many = fill(plan.len(), |target| plan.write(target, 4));

    assert!(one == many);
}

#[test]
fn no_columns_no_rows_and_no_batches_are_fine() {
    let empty = Arc::new(Schema::empty());
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let rows = RecordBatch::try_new_with_options(empty.clone(), vec![], &options).unwrap();

    let (file, back) = open(&write(&empty, &[rows.clone(), rows.clone()]));
    assert_eq!((file.num_rows(), back), (10, vec![rows.clone(), rows]));

    let (file, back) = open(&write(&all_types(0).schema(), &[]));
    assert_eq!((file.num_rows(), file.num_batches(), back.len()), (0, 0, 0));
    assert_eq!(file.schema(), &all_types(0).schema());
}

#[test]
fn metadata_comes_back_in_order() {
    let pairs = |name: &str| -> Metadata {
        (0..3).map(|i| (format!("{name} {}", 9 - i), format!("value {i}"))).collect()
    };
    let batch = all_types(3);
    let schema = batch.schema().as_ref().clone();
    let schema = Arc::new(schema.with_metadata([("owner".into(), "me".into())].into()));
    let batches = [batch.clone(), batch];
    let of_batches = [pairs("first"), Metadata::new()];

    let plan = Plan::with_metadata(&schema, pairs("file"), &batches, &of_batches).unwrap();
    let (file, _) = open(&fill(plan.len(), |target| plan.write(target, 1)));

    assert_eq!(file.schema(), &schema);
    assert_eq!(file.metadata(), &pairs("file"));
    assert_eq!(file.batch_metadata(0).unwrap(), pairs("first"));
    assert_eq!(file.batch_metadata(1).unwrap(), Metadata::new());
    assert_eq!(file.batch_metadata(2).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn messages_make_a_stream() {
    let batches = [all_types(100), all_types(3)];
    let (file, _) = open(&write(&batches[0].schema(), &batches));

    let mut stream = Vec::new();
    for message in file.messages() {
        stream.extend_from_slice(&[0xff; 4]);
        stream.extend_from_slice(&(message.header.len() as i32).to_le_bytes());
        stream.extend_from_slice(&message.header);
        stream.extend_from_slice(&message.body);
    }

    let kinds: Vec<_> = file.messages().map(|message| message.kind).collect();
    assert_eq!(kinds[0], MessageKind::Schema);
    assert_eq!(kinds[kinds.len() - 2..], [MessageKind::Batch; 2]);
    let reader = arrow_ipc::reader::StreamReader::try_new(Cursor::new(stream), None).unwrap();
    let back: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
    assert_eq!(back, batches);
}

#[test]
fn trusted_files_give_the_same_batches() {
    let batches = [all_types(100), all_types(3)];
    let bytes = write(&batches[0].schema(), &batches);

    // SAFETY: the bytes were just written by us from valid arrays.
    let file = unsafe { File::open_trusted(bytes) }.unwrap();

    assert_eq!(file.num_rows(), 103);
    assert_eq!(file.batches().collect::<Result<Vec<_>, _>>().unwrap(), batches);
}

#[test]
fn one_dictionary_is_written_once() {
    let column = dictionary::<Int32Type>(20, "x");
    let batches: Vec<_> = (0..10).map(|i| batch(vec![column.slice(i, 10)])).collect();

    let (file, back) = open(&write(&batches[0].schema(), &batches));

    assert_eq!(back, batches);
    let dictionaries = file.messages().filter(|message| message.kind == MessageKind::Dictionary);
    assert_eq!(dictionaries.count(), 1);
}

#[test]
fn differing_dictionaries_become_one() {
    let of = |prefixes: &[&str], keys: Vec<Option<i32>>| {
        let words: StringArray = prefixes.iter().copied().map(Some).collect();
        let array = DictionaryArray::<Int32Type>::new(keys.into(), Arc::new(words));
        batch(vec![Arc::new(array) as ArrayRef])
    };
    let batches = [
        of(&["a", "b", "c"], vec![Some(0), Some(1), Some(2)]),
        of(&["c", "d"], vec![Some(1), None, Some(0)]),
        of(&["d", "x", "a"], vec![Some(0), Some(1), Some(2)]),
        of(&["a", "b", "c"], vec![None, Some(1)]),
    ];

    let (file, back) = open(&write(&batches[0].schema(), &batches));

    for (back, batch) in back.iter().zip(&batches) {
        let strings = |batch: &RecordBatch| {
            let data = batch.column(0).to_data();
            let array = DictionaryArray::<Int32Type>::from(data);
            let words = array.downcast_dict::<StringArray>().unwrap();
            words.into_iter().map(|word| word.map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(strings(back), strings(batch));
    }
    let values = DictionaryArray::<Int32Type>::from(back[0].column(0).to_data());
    assert_eq!(values.values().len(), 5, "a, b, c, d, x");
    assert_eq!(file.messages().count(), 1 + 1 + 4);
}

#[test]
fn nested_dictionaries_that_differ_become_one() {
    let one = |prefix: &str| {
        let inner = dictionary::<Int32Type>(6, prefix);
        let fields = vec![Field::new("word", inner.data_type().clone(), true)];
        let structs = arrow_array::StructArray::new(fields.into(), vec![inner], None);
        let keys = Int32Array::from(vec![Some(5), None, Some(0), Some(3)]);
        batch(vec![Arc::new(DictionaryArray::new(keys, Arc::new(structs)))])
    };
    let batches = [one("x"), one("y"), one("x")];

    let (_, back) = open(&write(&batches[0].schema(), &batches));

    assert_eq!(back, batches);
}

#[test]
fn a_dictionary_that_outgrows_its_keys_is_refused() {
    let of = |start: usize| {
        let words: StringArray = (start..start + 100).map(|i| Some(i.to_string())).collect();
        let keys = arrow_array::Int8Array::from_iter_values(0..100);
        batch(vec![Arc::new(DictionaryArray::new(keys, Arc::new(words)))])
    };
    let mut encoder = Encoder::new(of(0).schema()).unwrap();
    encoder.push(&of(0)).unwrap();

    let error = encoder.push(&of(50)).unwrap_err();

    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(
        error.to_string().contains("150 values") && error.to_string().contains("128"),
        "{error}"
    );
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let mut encoder = Encoder::new(batch(vec![dictionary::<Int32Type>(3, "x")]).schema()).unwrap();

    let error = encoder.push(&batch(vec![Arc::new(Int32Array::from(vec![1]))])).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid);
    assert!(
        error.to_string().starts_with("batch 0: column c0 is Int32, the schema says"),
        "{error}"
    );
}

#[test]
fn a_dictionary_of_dictionaries_is_refused() {
    let inner = DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into());
    let outer = DataType::Dictionary(DataType::Int8.into(), inner.into());

    let error =
        Encoder::new(Arc::new(Schema::new(vec![Field::new("c", outer, true)]))).unwrap_err();

    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn files_aligned_to_eight_bytes_open_where_types_allow() {
    let write = |batch: &RecordBatch| {
        let options = IpcWriteOptions::try_new(8, false, arrow_ipc::MetadataVersion::V5).unwrap();
        let mut bytes = Vec::new();
        let mut writer =
            FileWriter::try_new_with_options(&mut bytes, &batch.schema(), options).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        Buffer::from_slice_ref(&bytes)
    };

    let ints =
        batch(vec![Arc::new(Int32Array::from(vec![1, 2, 3])), dictionary::<Int32Type>(3, "x")]);
    let file = File::open(write(&ints)).unwrap();
    assert_eq!(file.batch(0).unwrap(), ints);

    let wide: Vec<ArrayRef> = (1..4)
        .flat_map(|n| {
            let ints: ArrayRef = Arc::new(Int32Array::from(vec![1; n]));
            let decimals: ArrayRef = Arc::new(arrow_array::Decimal128Array::from(vec![1; n]));
            [ints.slice(0, 1), decimals.slice(0, 1)]
        })
        .collect();
    let error = File::open(write(&batch(wide))).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("write the file with an alignment of 64"), "{error}");
}

#[test]
fn dictionaries_that_others_added_to_are_joined() {
    let of = |words: &[&str], keys: Vec<i32>| {
        let words: StringArray = words.iter().copied().map(Some).collect();
        let array = DictionaryArray::<Int32Type>::new(keys.into(), Arc::new(words));
        batch(vec![Arc::new(array) as ArrayRef])
    };
    let batches = [of(&["a", "b"], vec![0, 1]), of(&["a", "b", "c", "d"], vec![3, 0, 2])];
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let mut bytes = Vec::new();
    let mut writer =
        FileWriter::try_new_with_options(&mut bytes, &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();

    let file = File::open(Buffer::from_slice_ref(&bytes)).unwrap();

    assert_eq!(file.messages().count(), 1 + 2 + 2);
    for (i, batch) in batches.iter().enumerate() {
        assert_eq!(&file.batch(i).unwrap(), batch);
    }
}

#[test]
fn what_nests_as_deep_as_allowed_can_be_read_by_all() {
    let mut column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    for _ in 1..60 {
        let field = Field::new("s", column.data_type().clone(), true);
        let fields = vec![field].into();
        column = Arc::new(arrow_array::StructArray::new(fields, vec![column], None));
    }
    let deep = batch(vec![column.clone()]);

    let bytes = write(&deep.schema(), std::slice::from_ref(&deep));

    assert_eq!(open(&bytes).1, std::slice::from_ref(&deep));
    let mut reader = FileReader::try_new(Cursor::new(&bytes), None).unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), deep);

    let field = Field::new("s", column.data_type().clone(), true);
    let deeper = arrow_array::StructArray::new(vec![field].into(), vec![column], None);
    let error = Encoder::new(batch(vec![Arc::new(deeper)]).schema()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}
