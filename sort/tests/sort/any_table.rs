//! Random tables: any schema, any keys, any slices, nulls anywhere.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringViewBuilder, UInt8Builder};
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields, Schema};
use proptest::prelude::*;
use sheaf_sort::SortKey;

use crate::oracle::check;

/// How values are drawn.
#[derive(Clone, Copy, Debug)]
enum Draw {
    /// Anything.
    Wide,
    /// A few.
    Few,
    /// One, mostly.
    One,
}

/// A column in the making: its type by number, how its values are drawn, how many in 8 are null.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    data_type: usize,
    draw: Draw,
    nulls: u64,
}

const TYPES: usize = 32;

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn value(&mut self, draw: Draw) -> u64 {
        let any = self.next();
        match draw {
            Draw::Wide => any,
            Draw::Few => any % 5,
            Draw::One if !any.is_multiple_of(10) => 3,
            Draw::One => any >> 4,
        }
    }

    fn text(&mut self, draw: Draw) -> String {
        let value = self.value(draw);
        let prefix = ["", "http://a/", "aé"][(value % 3) as usize];
        let len = (value >> 8) % 20;
        let letters = (0..len).map(|at| char::from(b'a' + ((value >> (at % 50)) % 26) as u8));
        prefix.chars().chain(letters).collect()
    }
}

fn column(recipe: Recipe, rows: usize, dice: &mut Dice) -> ArrayRef {
    let Recipe { data_type, draw, nulls } = recipe;
    let valid: Vec<bool> = (0..rows).map(|_| dice.next() % 8 >= nulls).collect();
    let nulls = NullBuffer::from(valid.clone());
    let values: Vec<u64> = (0..rows).map(|_| dice.value(draw)).collect();
    macro_rules! primitive {
        ($type:ty, $map:expr) => {{
            let map = $map;
            let values = values.iter().map(|value| map(*value)).collect::<Vec<_>>();
            Arc::new(PrimitiveArray::<$type>::new(values.into(), Some(nulls))) as ArrayRef
        }};
    }
    macro_rules! texts {
        ($array:ty) => {{
            let texts = valid.iter().map(|valid| valid.then(|| dice.text(draw)));
            Arc::new(texts.collect::<$array>()) as ArrayRef
        }};
    }
    match data_type {
        0 => primitive!(Int8Type, |v| v as i8),
        1 => primitive!(Int16Type, |v| v as i16),
        2 => primitive!(Int32Type, |v| v as i32),
        3 => primitive!(Int64Type, |v| v as i64),
        4 => primitive!(UInt8Type, |v| v as u8),
        5 => primitive!(UInt16Type, |v| v as u16),
        6 => primitive!(UInt32Type, |v| v as u32),
        7 => primitive!(UInt64Type, |v: u64| v),
        8 => primitive!(Float16Type, |v| half::f16::from_bits(v as u16)),
        9 => primitive!(Float32Type, |v| f32::from_bits(v as u32)),
        10 => primitive!(Float64Type, f64::from_bits),
        11 => primitive!(Date32Type, |v| v as i32),
        12 => primitive!(Time64MicrosecondType, |v| v as i64),
        13 => {
            let array = primitive!(TimestampNanosecondType, |v| v as i64);
            let array = array.as_any().downcast_ref::<TimestampNanosecondArray>().unwrap();
            Arc::new(array.clone().with_timezone("UTC"))
        }
        14 => primitive!(DurationSecondType, |v| v as i64),
        15 => primitive!(Decimal128Type, |v: u64| (v as i64 as i128) << (v % 60)),
        16 => primitive!(Decimal256Type, |v: u64| arrow_buffer::i256::from_i128(v as i64 as i128)),
        17 => Arc::new(BooleanArray::new(
            values.iter().map(|value| value.is_multiple_of(2)).collect::<Vec<_>>().into(),
            Some(nulls),
        )),
        18 => texts!(StringArray),
        19 => texts!(LargeStringArray),
        20 => {
            let texts: Vec<_> =
                valid.iter().map(|valid| valid.then(|| dice.text(draw).into_bytes())).collect();
            Arc::new(texts.iter().map(Option::as_deref).collect::<BinaryArray>())
        }
        21 => {
            let mut builder = StringViewBuilder::new();
            valid.iter().for_each(|valid| builder.append_option(valid.then(|| dice.text(draw))));
            Arc::new(builder.finish())
        }
        22 | 23 => {
            let width = if data_type == 22 { 8 } else { 5 };
            let bytes: Vec<u8> =
                values.iter().flat_map(|value| value.to_be_bytes()[8 - width..].to_vec()).collect();
            Arc::new(FixedSizeBinaryArray::new(width as i32, bytes.into(), Some(nulls)))
        }
        24 => {
            let words = StringArray::from(vec![Some("pear"), None, Some("apple"), Some("plum")]);
            let keys = values.iter().map(|value| (value % 4) as i8).collect::<Vec<_>>();
            let keys = Int8Array::new(keys.into(), Some(nulls));
            Arc::new(DictionaryArray::new(keys, Arc::new(words)))
        }
        25 => Arc::new(NullArray::new(rows)),
        26 => {
            let fields = Fields::from(vec![
                Field::new("a", DataType::Int32, true),
                Field::new("b", DataType::Utf8, true),
            ]);
            let inner = [2, 18].map(|data_type| column(Recipe { data_type, ..recipe }, rows, dice));
            Arc::new(StructArray::new(fields, inner.to_vec(), Some(nulls)))
        }
        27 => {
            let mut builder = ListBuilder::new(UInt8Builder::new());
            for (value, valid) in values.iter().zip(&valid) {
                (0..value % 4).for_each(|at| builder.values().append_value((value >> at) as u8));
                builder.append(*valid);
            }
            Arc::new(builder.finish())
        }
        28 => primitive!(IntervalMonthDayNanoType, |v: u64| IntervalMonthDayNano::new(
            v as i32 % 100,
            0,
            v as i64
        )),
        29 => primitive!(Decimal32Type, |v| (v % 1_000_000) as i32),
        30 => primitive!(Decimal64Type, |v| v as i64 >> 8),
        _ => texts!(LargeStringArray),
    }
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let draw = prop_oneof![Just(Draw::Wide), Just(Draw::Few), Just(Draw::One)];
    (0..TYPES, draw, prop_oneof![Just(0), Just(0), 1_u64..8])
        .prop_map(|(data_type, draw, nulls)| Recipe { data_type, draw, nulls })
}

/// A table in one piece, its dictionaries shared, cut into batches: slices of it.
fn table(recipes: &[Recipe], rows: usize, cuts: &[usize], seed: u64) -> Vec<RecordBatch> {
    let mut dice = Dice(seed);
    let columns: Vec<ArrayRef> =
        recipes.iter().map(|recipe| column(*recipe, rows, &mut dice)).collect();
    let fields: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| Field::new(format!("c{at}"), column.data_type().clone(), true))
        .collect();
    let whole = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (rows + 1)).collect();
    cuts.extend([0, rows]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| whole.slice(pair[0], pair[1] - pair[0])).collect()
}

fn keys(count: usize) -> impl Strategy<Value = Vec<SortKey>> {
    let key = (0..count, any::<bool>(), any::<bool>()).prop_map(|(at, descending, nulls_first)| {
        SortKey { column: format!("c{at}"), descending, nulls_first }
    });
    proptest::collection::vec(key, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_table_is_sorted_by_any_keys(
        (recipes, by) in proptest::collection::vec(recipe(), 1..5)
            .prop_flat_map(|recipes| { let n = recipes.len(); (Just(recipes), keys(n)) }),
        rows in prop_oneof![0_usize..5, 5_usize..300, 300_usize..3000],
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
        seed in any::<u64>(),
    ) {
        let batches = table(&recipes, rows, &cuts, seed);
        // Intervals have no order that Arrow's kernels agree on, and maps none at all.
        check(&batches[0].schema(), &batches, &by, 2);
    }
}

/// Every type once as the only key and once as payload, over enough rows to be scattered.
#[test]
fn every_type_is_scattered() {
    for data_type in 0..TYPES {
        for (draw, nulls) in [(Draw::Wide, 0), (Draw::Few, 2)] {
            {
                let key = Recipe { data_type, draw, nulls };
                let payload = Recipe { data_type: 3, draw: Draw::Wide, nulls: 0 };
                let batches = table(&[key, payload], 66_000, &[0, 33, 30_001], 7);
                let by =
                    [SortKey { column: "c0".into(), descending: nulls > 0, nulls_first: true }];
                check(&batches[0].schema(), &batches, &by, 2);
                check(&batches[0].schema(), &batches, &[SortKey::new("c1")], 2);
            }
        }
    }
}
