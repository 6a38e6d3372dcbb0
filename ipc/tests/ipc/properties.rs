//! What holds for any table: it comes back, aligned, and nothing else is in the file.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{Field, Fields, UnionFields};
use proptest::collection::vec;
use proptest::prelude::*;
use sheaf_ipc::{ALIGNMENT, File, MessageKind, Plan};

use crate::harness::{encode, fill, open, write};
use crate::samples::{all_types, batch};

fn nulls(rows: usize) -> BoxedStrategy<Option<NullBuffer>> {
    prop_oneof![Just(None), vec(any::<bool>(), rows).prop_map(|bits| Some(NullBuffer::from(bits))),]
        .boxed()
}

fn numbers<T: ArrowPrimitiveType>(rows: usize) -> BoxedStrategy<ArrayRef>
where
    T::Native: Arbitrary,
{
    (vec(any::<T::Native>(), rows), nulls(rows))
        .prop_map(|(values, nulls)| {
            Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls)) as ArrayRef
        })
        .boxed()
}

fn texts(rows: usize) -> BoxedStrategy<Vec<Option<String>>> {
    vec(proptest::option::of("[a-zä]{0,20}"), rows).boxed()
}

fn flat(rows: usize) -> BoxedStrategy<ArrayRef> {
    prop_oneof![
        Just(Arc::new(NullArray::new(rows)) as ArrayRef),
        vec(any::<Option<bool>>(), rows)
            .prop_map(|bits| Arc::new(BooleanArray::from(bits)) as ArrayRef),
        numbers::<Int8Type>(rows),
        numbers::<UInt16Type>(rows),
        numbers::<Int32Type>(rows),
        numbers::<Int64Type>(rows),
        numbers::<Decimal128Type>(rows),
        texts(rows).prop_map(|texts| Arc::new(StringArray::from(texts)) as ArrayRef),
        texts(rows).prop_map(|texts| Arc::new(LargeBinaryArray::from_iter(texts)) as ArrayRef),
        texts(rows).prop_map(|texts| Arc::new(StringViewArray::from(texts)) as ArrayRef),
        (texts(5), vec(proptest::option::of(0..5_i8), rows)).prop_map(|(words, keys)| {
            let words = Arc::new(StringArray::from(words));
            Arc::new(DictionaryArray::new(Int8Array::from(keys), words)) as ArrayRef
        }),
    ]
    .boxed()
}

/// Any array of so many rows, sliced out of a longer one, nested up to `depth` levels.
fn array(rows: usize, depth: u32) -> BoxedStrategy<ArrayRef> {
    (0..9_usize, 0..9_usize)
        .prop_flat_map(move |(before, after)| {
            let longer = unsliced(before + rows + after, depth);
            longer.prop_map(move |array| array.slice(before, rows))
        })
        .boxed()
}

fn item(array: &ArrayRef) -> Arc<Field> {
    Arc::new(Field::new("item", array.data_type().clone(), true))
}

fn unsliced(rows: usize, depth: u32) -> BoxedStrategy<ArrayRef> {
    if depth == 0 {
        return flat(rows);
    }
    let lists = vec(0..4_usize, rows).prop_flat_map(move |lengths| {
        let elements = array(lengths.iter().sum(), depth - 1);
        (elements, nulls(rows)).prop_map(move |(elements, nulls)| {
            let offsets = OffsetBuffer::<i32>::from_lengths(lengths.iter().copied());
            Arc::new(ListArray::new(item(&elements), offsets, elements, nulls)) as ArrayRef
        })
    });
    let views = (array(20, depth - 1), vec((0..15_i64, 0..6_i64), rows), nulls(rows)).prop_map(
        |(elements, places, nulls)| {
            let (offsets, sizes): (Vec<_>, Vec<_>) = places.into_iter().unzip();
            let field = item(&elements);
            let (offsets, sizes) = (offsets.into(), sizes.into());
            Arc::new(LargeListViewArray::new(field, offsets, sizes, elements, nulls)) as ArrayRef
        },
    );
    let fixed = (array(rows * 2, depth - 1), nulls(rows)).prop_map(|(elements, nulls)| {
        Arc::new(FixedSizeListArray::new(item(&elements), 2, elements, nulls)) as ArrayRef
    });
    let structs =
        (array(rows, depth - 1), array(rows, 0), nulls(rows)).prop_map(|(one, other, nulls)| {
            let fields: Fields = vec![item(&one), item(&other)].into();
            Arc::new(StructArray::new(fields, vec![one, other], nulls)) as ArrayRef
        });
    let dense = (array(6, depth - 1), array(7, 0), vec((any::<bool>(), 0..6_i32), rows)).prop_map(
        |(one, other, places)| {
            let fields = [item(&one).as_ref().clone(), item(&other).as_ref().clone()];
            let fields = UnionFields::try_new([5, 2], fields).unwrap();
            let ids = places.iter().map(|(first, _)| if *first { 5 } else { 2 }).collect();
            let offsets = places.iter().map(|(_, offset)| *offset).collect();
            let children = vec![one, other];
            Arc::new(UnionArray::try_new(fields, ids, Some(offsets), children).unwrap()) as ArrayRef
        },
    );
    let sparse = (array(rows, depth - 1), array(rows, 0), vec(any::<bool>(), rows)).prop_map(
        |(one, other, firsts)| {
            let fields = [item(&one).as_ref().clone(), item(&other).as_ref().clone()];
            let fields = UnionFields::try_new([0, 1], fields).unwrap();
            let ids = firsts.iter().map(|first| i8::from(!*first)).collect();
            Arc::new(UnionArray::try_new(fields, ids, None, vec![one, other]).unwrap()) as ArrayRef
        },
    );
    let runs = vec(1..5_i32, rows).prop_flat_map(move |lengths| {
        let ends: Vec<i32> = lengths
            .iter()
            .scan(0, |end, len| {
                *end += len;
                Some(*end)
            })
            .collect();
        array(rows, depth - 1).prop_map(move |values| {
            let ends = Int32Array::from(ends.clone());
            let runs = RunArray::<Int32Type>::try_new(&ends, &values).unwrap();
            Arc::new(runs.slice(runs.len() - rows, rows)) as ArrayRef
        })
    });
    prop_oneof![flat(rows), lists, views, fixed, structs, dense, sparse, runs].boxed()
}

/// A few batches of the same columns: slices of one table.
pub(crate) fn tables() -> impl Strategy<Value = Vec<RecordBatch>> {
    (0..40_usize).prop_flat_map(|rows| {
        let cuts = vec(0..=rows, 0..4);
        (vec(array(rows, 2), 1..5), cuts).prop_map(move |(columns, mut cuts)| {
            let table = batch(columns);
            cuts.extend([0, rows]);
            cuts.sort_unstable();
            cuts.windows(2).map(|cut| table.slice(cut[0], cut[1] - cut[0])).collect()
        })
    })
}

/// The bytes of a file that no message, buffer or footer accounts for.
fn padding(bytes: &Buffer, file: &File) -> Vec<u8> {
    let start = bytes.as_ptr().addr();
    let mut used: Vec<(usize, usize)> = Vec::new();
    for message in file.messages() {
        let at = |buffer: &Buffer| buffer.as_ptr().addr() - start;
        let header = arrow_ipc::root_as_message(&message.header).unwrap();
        let batch = match message.kind {
            MessageKind::Schema => None,
            MessageKind::Dictionary => header.header_as_dictionary_batch().unwrap().data(),
            _ => header.header_as_record_batch(),
        };
        used.push((at(&message.header) - 8, at(&message.header) + message.header.len()));
        for buffer in batch.and_then(|batch| batch.buffers()).into_iter().flatten() {
            let from = at(&message.body) + buffer.offset() as usize;
            assert_eq!(from % ALIGNMENT, 0, "buffers are aligned");
            used.push((from, from + buffer.length() as usize));
        }
    }
    used.sort_unstable();
    let mut end = 8;
    let mut padding = Vec::new();
    for (from, to) in used {
        assert!(from >= end, "buffers do not overlap");
        padding.extend_from_slice(&bytes[end..from]);
        end = to;
    }
    padding
}

/// Enough cases by default to be quick; `PROPTEST_CASES` makes them more.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_table_comes_back_aligned_with_zeroed_padding(batches in tables()) {
        let bytes = write(&batches[0].schema(), &batches);

        let (file, back) = open(&bytes);

        prop_assert_eq!(&back, &batches);
        prop_assert!(padding(&bytes, &file).iter().all(|byte| *byte == 0));
        prop_assert_eq!(&bytes, &encode(&batches[0].schema(), &batches));
        // What came back is written as the same bytes again: nothing is lost or left over.
        let again = Plan::new(file.schema(), &back).unwrap();
        prop_assert!(again.len() <= bytes.len());
        let (_, twice) = open(&fill(again.len(), |target| again.write(target, 2)));
        prop_assert_eq!(twice, batches);
    }

    #[test]
    fn arrow_reads_any_table(batches in tables()) {
        let bytes = write(&batches[0].schema(), &batches);

        let reader = arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(&bytes), None);

        let back: Vec<_> = reader.unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(back, batches);
    }

    #[test]
    fn broken_bytes_are_refused_or_read(
        breaks in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        column in any::<prop::sample::Index>(),
    ) {
        let table = batch(vec![column.get(all_types(9).columns()).clone()]);
        let bytes = write(&table.schema(), &[table.clone(), table.slice(3, 2)]);
        let mut broken = MutableBuffer::new(bytes.len());
        broken.extend_from_slice(&bytes);
        for (at, byte) in breaks {
            let at = at.index(broken.len());
            broken[at] = byte;
        }

        if let Ok(file) = File::open(broken.into()) {
            for batch in file.batches() {
                prop_assert!(batch.is_ok());
            }
        }
    }

    #[test]
    fn truncated_bytes_are_refused(cut in 1..5000_usize) {
        let table = all_types(3);
        let bytes = write(&table.schema(), &[table]);
        let len = bytes.len().saturating_sub(cut);

        prop_assert!(File::open(bytes.slice_with_length(0, len)).is_err());
    }
}
