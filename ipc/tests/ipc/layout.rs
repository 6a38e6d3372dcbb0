//! Tables filled in place are files like any other.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Decimal256Array, RecordBatch, StringArray};
use arrow_buffer::{Buffer, MutableBuffer, i256};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use sheaf_ipc::{Content, Kind, Layout, Plan};

use crate::harness::{fill, open};

fn schema(fields: &[(&str, DataType, bool)]) -> SchemaRef {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, data_type, nullable)| Field::new(*name, data_type.clone(), *nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

fn contents(bytes: &[usize]) -> Vec<Content> {
    bytes.iter().map(|bytes| Content { bytes: *bytes, ..Content::default() }).collect()
}

/// Memory full of what must not show in the end.
fn dirty(len: usize) -> MutableBuffer {
    let mut bytes = MutableBuffer::from_len_zeroed(len);
    bytes.fill(0xaa);
    bytes
}

fn triple() -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Int32, true)), 3)
}

#[test]
fn values_filled_in_place_come_back() {
    let schema = schema(&[
        ("id", DataType::Int64, false),
        ("flag", DataType::Boolean, true),
        ("wide", DataType::Decimal256(76, 0), true),
        ("code", DataType::FixedSizeBinary(3), false),
        ("triple", triple(), true),
        ("nothing", DataType::Null, true),
        ("at", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), true),
    ]);
    let layout = Layout::new(schema.clone(), 11).unwrap();
    let mut bytes = dirty(layout.len());

    layout.start(&mut bytes);
    for row in 0..11_i64 {
        let at = layout.values(0, 0).start + 8 * row as usize;
        bytes[at..at + 8].copy_from_slice(&row.to_le_bytes());
    }
    bytes[layout.values(0, 1)].copy_from_slice(&[0b1010_1010, 0xff]);
    bytes[layout.values(0, 2)].fill(0);
    bytes[layout.values(0, 3)].fill(b'x');
    bytes[layout.values(0, 4)].fill(1);
    bytes[layout.values(0, 6)].fill(0);
    bytes[layout.validity(0, 2).unwrap()][0] = 0b1111_1101;
    bytes[layout.validity(0, 4).unwrap()].fill(0);
    layout.finish(&mut bytes).unwrap();

    let (file, back) = open(&bytes.into());
    let batch = &back[0];
    assert_eq!((file.schema(), file.num_rows()), (&schema, 11));
    assert!(batch.column(0).as_primitive::<Int64Type>().values().iter().copied().eq(0..11));
    let flags: Vec<_> = (0..11).map(|i| Some(i % 2 == 1 || i >= 8)).collect();
    assert_eq!(batch.column(1).as_boolean(), &BooleanArray::from(flags));
    let wide = (0..11).map(|i| (i != 1).then_some(i256::ZERO));
    let wide = Decimal256Array::from_iter(wide).with_precision_and_scale(76, 0).unwrap();
    assert_eq!(batch.column(2).as_ref(), &wide as &dyn Array);
    assert_eq!(batch.column(4).null_count(), 11);
    assert_eq!(batch.column(4).as_fixed_size_list().values().len(), 33);
}

#[test]
fn strings_can_be_laid_out_if_their_bytes_are_known() {
    let schema = schema(&[("word", DataType::Utf8, false), ("n", DataType::Int32, false)]);
    let layout = Layout::with_contents(schema, &[3], &contents(&[6, 0])).unwrap();
    let mut bytes = dirty(layout.len());

    layout.start(&mut bytes);
    let offsets = Buffer::from_slice_ref([0_i32, 2, 2, 6]);
    bytes[layout.offsets(0, 0).unwrap()].copy_from_slice(&offsets);
    bytes[layout.values(0, 0)].copy_from_slice(b"onfour");
    bytes[layout.values(0, 1)].fill(0);
    layout.finish(&mut bytes).unwrap();

    let (_, back) = open(&bytes.into());
    assert_eq!(
        back[0].column(0).as_ref(),
        &StringArray::from(vec!["on", "", "four"]) as &dyn Array
    );
    assert_eq!(back[0].column(1).as_primitive::<Int32Type>().values(), &[0, 0, 0]);
}

#[test]
fn a_layout_is_what_a_plan_writes() {
    let schema = schema(&[("a", DataType::Int32, false), ("b", triple(), false)]);
    let layout = Layout::new(schema.clone(), 9).unwrap();
    let mut bytes = dirty(layout.len());
    layout.start(&mut bytes);
    bytes[layout.values(0, 0)].fill(3);
    bytes[layout.values(0, 1)].fill(4);
    layout.finish(&mut bytes).unwrap();
    let bytes = Buffer::from(bytes);

    let batches: Vec<RecordBatch> = open(&bytes).1;
    let plan = Plan::new(&schema, &batches).unwrap();

    assert_eq!(fill(plan.len(), |target| plan.write(target, 1)), bytes);
}

#[test]
fn types_without_a_fixed_width_are_refused() {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
    for data_type in [DataType::Utf8, DataType::Utf8View, list] {
        let error = Layout::new(schema(&[("c", data_type, false)]), 3).unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("encode batches instead"), "{error}");
    }
}

#[test]
fn more_than_can_be_addressed_is_refused() {
    let wide = schema(&[("c", DataType::Int64, false)]);
    assert_eq!(Layout::new(wide, usize::MAX / 4).unwrap_err().kind(), Kind::TooLarge);

    let strings = schema(&[("c", DataType::Utf8, false)]);
    assert_eq!(
        Layout::with_contents(strings, &[1], &contents(&[1 << 31])).unwrap_err().kind(),
        Kind::TooLarge
    );
}

#[test]
fn a_target_of_another_length_is_refused() {
    let layout = Layout::new(schema(&[("c", DataType::Int64, false)]), 3).unwrap();

    let error = layout.finish(&mut vec![0; layout.len() - 1]).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid);
}

#[test]
fn several_batches_and_dictionaries_can_be_laid_out() {
    let words = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let schema = schema(&[("n", DataType::Int32, true), ("word", words, true)]);
    let dictionary: ArrayRef = Arc::new(StringArray::from(vec!["one", "two"]));
    let contents = [
        Content { nulls: true, ..Content::default() },
        Content { dictionary: Some(dictionary.clone()), ..Content::default() },
    ];
    let layout = Layout::with_contents(schema.clone(), &[16, 3], &contents).unwrap();
    let mut bytes = dirty(layout.len());

    layout.start(&mut bytes);
    for batch in 0..layout.num_batches() {
        bytes[layout.values(batch, 0)].fill(batch as u8);
        bytes[layout.values(batch, 1)].fill(1);
    }
    bytes[layout.validity(1, 0).unwrap()][0] = 0b011;
    layout.finish(&mut bytes).unwrap();
    let bytes = Buffer::from(bytes);

    let (file, back) = open(&bytes);
    assert_eq!((file.num_rows(), layout.num_rows()), (19, 19));
    assert_eq!(back[0].column(0).as_primitive::<Int32Type>().values(), &[0; 16]);
    assert_eq!(back[1].column(0).null_count(), 1);
    assert_eq!(back[1].column(1).as_any_dictionary().values(), &dictionary);
}
