//! One array of every type, with nulls, of any length.

use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{ArrowNativeType, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, Field, Fields, Schema, UnionFields};

/// A batch with one column of every type.
pub(crate) fn all_types(rows: usize) -> RecordBatch {
    batch(columns(rows))
}

/// A batch of these columns, named after their position.
pub(crate) fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| Field::new(format!("c{i}"), column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn some(i: usize) -> bool {
    i % 3 != 1
}

fn nulls(rows: usize) -> NullBuffer {
    (0..rows).map(some).collect()
}

fn numbers<T: ArrowPrimitiveType>(rows: usize, value: impl Fn(usize) -> T::Native) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter((0..rows).map(|i| some(i).then(|| value(i)))))
}

fn text(i: usize) -> String {
    match i % 4 {
        0 => String::new(),
        1 => format!("short {i}"),
        2 => format!("ä string that is too long to be inlined, number {i}"),
        _ => format!("{i}"),
    }
}

fn texts(rows: usize) -> impl Iterator<Item = Option<String>> {
    (0..rows).map(|i| (i % 5 != 2).then(|| text(i)))
}

fn item(data_type: &DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type.clone(), true))
}

/// Offsets of lists of 0, 1, 2, 3, 0, … elements.
fn lengths(rows: usize) -> impl Iterator<Item = usize> {
    (0..rows).map(|i| i % 4)
}

pub(crate) fn columns(rows: usize) -> Vec<ArrayRef> {
    let elements: usize = lengths(rows).sum();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(NullArray::new(rows)),
        Arc::new(BooleanArray::from_iter((0..rows).map(|i| some(i).then_some(i % 2 == 0)))),
        numbers::<Int8Type>(rows, |i| i as i8),
        numbers::<Int16Type>(rows, |i| i as i16),
        numbers::<Int32Type>(rows, |i| i as i32),
        numbers::<Int64Type>(rows, |i| i as i64),
        numbers::<UInt8Type>(rows, |i| i as u8),
        numbers::<UInt16Type>(rows, |i| i as u16),
        numbers::<UInt32Type>(rows, |i| i as u32),
        numbers::<UInt64Type>(rows, |i| i as u64),
        numbers::<Float16Type>(rows, half),
        numbers::<Float32Type>(rows, |i| i as f32),
        numbers::<Float64Type>(rows, |i| i as f64),
        numbers::<Date32Type>(rows, |i| i as i32),
        numbers::<Date64Type>(rows, |i| i as i64 * 86_400_000),
        numbers::<Time32MillisecondType>(rows, |i| i as i32),
        numbers::<Time64NanosecondType>(rows, |i| i as i64),
        numbers::<TimestampMicrosecondType>(rows, |i| i as i64),
        numbers::<DurationSecondType>(rows, |i| i as i64),
        numbers::<IntervalYearMonthType>(rows, |i| i as i32),
        numbers::<IntervalDayTimeType>(rows, |i| IntervalDayTimeType::make_value(i as i32, 7)),
        numbers::<IntervalMonthDayNanoType>(rows, |i| {
            IntervalMonthDayNanoType::make_value(i as i32, 7, 9)
        }),
        numbers::<Decimal32Type>(rows, |i| i as i32),
        numbers::<Decimal64Type>(rows, |i| i as i64),
        numbers::<Decimal128Type>(rows, |i| i as i128),
        numbers::<Decimal256Type>(rows, |i| i256::from_i128(i as i128)),
        fixed_size_binary(rows, 5),
        Arc::new(StringArray::from_iter(texts(rows))),
        Arc::new(LargeStringArray::from_iter(texts(rows))),
        Arc::new(BinaryArray::from_iter(texts(rows))),
        Arc::new(LargeBinaryArray::from_iter(texts(rows))),
        Arc::new(StringViewArray::from_iter(texts(rows))),
        Arc::new(BinaryViewArray::from_iter(texts(rows))),
    ];

    let strings: ArrayRef = Arc::new(StringArray::from_iter(texts(elements)));
    let views: ArrayRef = Arc::new(StringViewArray::from_iter(texts(elements)));
    columns.push(list::<i32>(rows, strings.clone()));
    columns.push(list::<i64>(rows, views));
    columns.push(list::<i32>(rows, list::<i64>(elements, ints(4 * elements))));
    columns.push(list_view::<i32>(rows, strings.clone()));
    columns.push(list_view::<i64>(rows, ints(elements)));
    columns.push(fixed_size_list(rows, 3));
    columns.push(structs(rows));
    columns.push(map(rows));
    columns.push(sparse_union(rows));
    columns.push(dense_union(rows));
    columns.push(runs::<Int16Type>(rows));
    columns.push(runs::<Int32Type>(rows));
    columns.push(runs::<Int64Type>(rows));
    columns.push(dictionary::<Int8Type>(rows, "a"));
    columns.push(dictionary::<UInt16Type>(rows, "b"));
    columns.push(nested_dictionary(rows));
    let words = dictionary::<Int32Type>(elements, "c");
    columns.push(list::<i32>(rows, words));
    columns
}

fn half(i: usize) -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::from_bits(i as u16 & 0x3fff)
}

fn ints(rows: usize) -> ArrayRef {
    numbers::<Int32Type>(rows, |i| i as i32)
}

fn fixed_size_binary(rows: usize, width: i32) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::new(width);
    for i in 0..rows {
        match some(i) {
            true => builder.append_value(vec![i as u8; width as usize]).unwrap(),
            false => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

/// Lists of these elements; there must be enough of them.
fn list<O: OffsetSizeTrait>(rows: usize, elements: ArrayRef) -> ArrayRef {
    let offsets = OffsetBuffer::<O>::from_lengths(lengths(rows));
    let field = item(elements.data_type());
    Arc::new(GenericListArray::<O>::new(field, offsets, elements, Some(nulls(rows))))
}

/// List views that run through their elements backwards.
fn list_view<O: OffsetSizeTrait>(rows: usize, elements: ArrayRef) -> ArrayRef {
    let mut end = elements.len();
    let (mut offsets, mut sizes) = (Vec::new(), Vec::new());
    for len in lengths(rows) {
        end -= len;
        offsets.push(O::usize_as(end));
        sizes.push(O::usize_as(len));
    }
    let field = item(elements.data_type());
    Arc::new(GenericListViewArray::<O>::new(
        field,
        ScalarBuffer::from(offsets),
        ScalarBuffer::from(sizes),
        elements,
        Some(nulls(rows)),
    ))
}

fn fixed_size_list(rows: usize, size: usize) -> ArrayRef {
    let elements = ints(rows * size);
    let field = item(elements.data_type());
    Arc::new(FixedSizeListArray::new(field, size as i32, elements, Some(nulls(rows))))
}

fn structs(rows: usize) -> ArrayRef {
    let columns = vec![ints(rows), Arc::new(StringArray::from_iter(texts(rows))) as ArrayRef];
    let fields: Fields = columns
        .iter()
        .enumerate()
        .map(|(i, column)| Field::new(format!("s{i}"), column.data_type().clone(), true))
        .collect();
    Arc::new(StructArray::new(fields, columns, Some(nulls(rows))))
}

fn map(rows: usize) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for i in 0..rows {
        for entry in 0..i % 3 {
            builder.keys().append_value(text(i + entry));
            builder.values().append_option(some(i).then_some(i as i32));
        }
        builder.append(some(i)).unwrap();
    }
    Arc::new(builder.finish())
}

fn union_fields() -> UnionFields {
    let fields = [Field::new("i", DataType::Int32, true), Field::new("s", DataType::Utf8, true)];
    UnionFields::try_new([3, 7], fields).unwrap()
}

fn type_ids(rows: usize) -> ScalarBuffer<i8> {
    (0..rows).map(|i| if i % 3 == 0 { 3 } else { 7 }).collect()
}

fn sparse_union(rows: usize) -> ArrayRef {
    let children = vec![ints(rows), Arc::new(StringArray::from_iter(texts(rows))) as ArrayRef];
    Arc::new(UnionArray::try_new(union_fields(), type_ids(rows), None, children).unwrap())
}

fn dense_union(rows: usize) -> ArrayRef {
    let ids = type_ids(rows);
    let mut counts = [0; 128];
    let offsets: ScalarBuffer<i32> = ids
        .iter()
        .map(|id| {
            counts[*id as usize] += 1;
            counts[*id as usize] - 1
        })
        .collect();
    let strings = StringArray::from_iter(texts(counts[7] as usize));
    let children = vec![ints(counts[3] as usize), Arc::new(strings) as ArrayRef];
    Arc::new(UnionArray::try_new(union_fields(), ids, Some(offsets), children).unwrap())
}

fn runs<R: RunEndIndexType>(rows: usize) -> ArrayRef {
    let count = rows.div_ceil(3);
    let ends = (0..count).map(|i| R::Native::from_usize(rows.min(3 * i + 3)).unwrap());
    let ends = PrimitiveArray::<R>::from_iter_values(ends);
    let values = StringArray::from_iter(texts(count));
    Arc::new(RunArray::<R>::try_new(&ends, &values).unwrap())
}

/// Keys into a dictionary of ten words that start with `prefix`.
pub(crate) fn dictionary<K: ArrowDictionaryKeyType>(rows: usize, prefix: &str) -> ArrayRef {
    let words: StringArray = (0..10).map(|i| Some(format!("{prefix} word {i}"))).collect();
    let keys = (0..rows).map(|i| some(i).then(|| K::Native::from_usize(i % 10).unwrap()));
    let keys = PrimitiveArray::<K>::from_iter(keys);
    Arc::new(DictionaryArray::new(keys, Arc::new(words)))
}

/// A dictionary of structs, in which there is a dictionary.
pub(crate) fn nested_dictionary(rows: usize) -> ArrayRef {
    let inner = dictionary::<Int8Type>(6, "inner");
    let fields = vec![Field::new("word", inner.data_type().clone(), true)];
    let structs = StructArray::new(fields.into(), vec![inner], None);
    let keys = (0..rows).map(|i| some(i).then_some((i % 6) as i32));
    Arc::new(DictionaryArray::new(Int32Array::from_iter(keys), Arc::new(structs)))
}

/// Lists of five elements each.
pub(crate) fn list_of(rows: usize, elements: ArrayRef) -> ArrayRef {
    let offsets = OffsetBuffer::<i32>::from_lengths(std::iter::repeat_n(5, rows));
    let field = item(elements.data_type());
    Arc::new(ListArray::new(field, offsets, elements, None))
}

#[test]
fn samples_have_every_type() {
    let columns = columns(1);

    let types: std::collections::HashSet<_> =
        columns.iter().map(|column| std::mem::discriminant(column.data_type())).collect();

    assert_eq!(types.len(), 41, "as many as `DataType` has in arrow 59");
}
