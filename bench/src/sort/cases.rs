//! The tables that are sorted, each of one batch, the same for every run.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use sheaf_sort::SortKey;
use tpchgen::generators::LineItemGenerator;
use tpchgen_arrow::LineItemArrow;

/// A kind of table.
pub struct Case {
    /// What the reports call it.
    pub name: &'static str,
    /// How its rows compare in number to the plainest case's.
    pub share: f64,
    make: fn(usize) -> Vec<(&'static str, ArrayRef)>,
    by: &'static [&'static str],
}

/// Every case, the plainest first.
pub const CASES: [Case; 19] = [
    Case { name: "int64 + float64", share: 1.0, make: random, by: &["k"] },
    Case { name: "float64", share: 1.0, make: floats, by: &["k"] },
    Case { name: "8 columns", share: 0.5, make: eight, by: &["k"] },
    Case { name: "strings 8-24", share: 0.2, make: strings, by: &["k"] },
    Case { name: "strings, shared prefix", share: 0.2, make: prefixed, by: &["k"] },
    Case { name: "strings, two prefixes", share: 0.2, make: addresses, by: &["k"] },
    Case { name: "two int64 keys", share: 0.5, make: two, by: &["k", "l"] },
    Case { name: "int32 + string keys", share: 0.2, make: mixed, by: &["k", "l"] },
    Case { name: "nullable key", share: 1.0, make: nullable, by: &["k"] },
    Case { name: "20 distinct", share: 1.0, make: twenty, by: &["k"] },
    Case { name: "zipf", share: 1.0, make: zipf, by: &["k"] },
    Case { name: "sorted", share: 1.0, make: sorted, by: &["k"] },
    Case { name: "reversed", share: 1.0, make: reversed, by: &["k"] },
    Case { name: "logarithmic", share: 1.0, make: logarithmic, by: &["k"] },
    Case { name: "95 % one value", share: 1.0, make: one_value, by: &["k"] },
    Case { name: "half one value", share: 1.0, make: half_one, by: &["k"] },
    Case { name: "lineitem by shipdate", share: LINES, make: lineitem, by: &["l_shipdate"] },
    Case { name: "lineitem by orderkey", share: LINES, make: shuffled, by: &["l_orderkey"] },
    Case { name: "100-byte records", share: 0.2, make: records, by: &["k"] },
];

/// A scale factor of TPC-H's lineitem, in rows, about.
const SCALE: f64 = 6_000_000.0;

/// Lines of scale factor 3 to 30 million rows of the plainest case, and of 10 to 100 million.
const LINES: f64 = 0.6;

impl Case {
    /// The table, of as many rows as the plainest case has, times the share.
    ///
    /// # Panics
    /// Never: columns are of equal length.
    #[must_use]
    pub fn table(&self, rows: usize) -> RecordBatch {
        let rows = (rows as f64 * self.share) as usize;
        RecordBatch::try_from_iter((self.make)(rows)).expect("columns of equal length")
    }

    /// What it is sorted by.
    #[must_use]
    pub fn by(&self) -> Vec<SortKey> {
        self.by.iter().map(|name| SortKey::new(*name)).collect()
    }
}

/// A number that looks random (the finaliser of SplitMix64).
fn mix(at: u64) -> u64 {
    let mut mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Between 0 and 1, 1 excluded.
fn unit(at: u64) -> f64 {
    (mix(at) >> 11) as f64 / (1_u64 << 53) as f64
}

fn integers(rows: usize, value: impl Fn(u64) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..rows as u64).map(value)))
}

fn reals(rows: usize, value: impl Fn(u64) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((0..rows as u64).map(value)))
}

fn payload(rows: usize) -> (&'static str, ArrayRef) {
    ("v", reals(rows, |at| at as f64))
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn keyed(rows: usize, key: impl Fn(u64) -> i64) -> Columns {
    vec![("k", integers(rows, key)), payload(rows)]
}

fn random(rows: usize) -> Columns {
    keyed(rows, |at| mix(at) as i64)
}

fn floats(rows: usize) -> Columns {
    vec![("k", reals(rows, unit))]
}

fn eight(rows: usize) -> Columns {
    let names = ["k", "a", "b", "c", "d", "e", "f", "g"];
    let column = |(shift, name)| (name, integers(rows, move |at| mix(at + shift * 77) as i64));
    (0_u64..).zip(names).map(column).collect()
}

/// Letters and digits, 8 to 24 of them.
fn word(at: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |place| char::from(LETTERS[(mix(at * 32 + place) % 62) as usize]);
    (0..8 + mix(at) % 17).map(letter).collect()
}

fn texts(rows: usize, text: impl Fn(u64) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..rows as u64).map(text)))
}

fn strings(rows: usize) -> Columns {
    vec![("k", texts(rows, word)), payload(rows)]
}

fn prefixed(rows: usize) -> Columns {
    let text = |at| format!("https://example.org/datasets/{}", word(at));
    vec![("k", texts(rows, text)), payload(rows)]
}

/// Half of them agree in more letters than any code holds, and so does the other half.
fn addresses(rows: usize) -> Columns {
    let text = |at| {
        let scheme = if mix(at + 5).is_multiple_of(2) { "http" } else { "https" };
        format!("{scheme}://www.example.org/datasets/{}", word(at))
    };
    vec![("k", texts(rows, text)), payload(rows)]
}

fn two(rows: usize) -> Columns {
    let high = integers(rows, |at| (mix(at) % 1000) as i64);
    vec![("k", high), ("l", integers(rows, |at| mix(at + 1) as i64)), payload(rows)]
}

fn mixed(rows: usize) -> Columns {
    let high = arrow_array::Int32Array::from_iter_values(
        (0..rows as u64).map(|at| (mix(at) % 100_000) as i32),
    );
    vec![("k", Arc::new(high)), ("l", texts(rows, word)), payload(rows)]
}

fn nullable(rows: usize) -> Columns {
    let keys: Int64Array = (0..rows as u64)
        .map(|at| (!mix(at + 9).is_multiple_of(10)).then(|| mix(at) as i64))
        .collect();
    vec![("k", Arc::new(keys)), payload(rows)]
}

fn twenty(rows: usize) -> Columns {
    keyed(rows, |at| (mix(at) % 20) as i64)
}

fn zipf(rows: usize) -> Columns {
    // Inverse of the cumulative distribution of a power law with exponent 1.2.
    keyed(rows, |at| (1.0 - unit(at)).powf(-1.0 / 0.2).min(1e15) as i64)
}

fn sorted(rows: usize) -> Columns {
    keyed(rows, |at| at as i64)
}

fn reversed(rows: usize) -> Columns {
    keyed(rows, |at| -(at as i64))
}

fn logarithmic(rows: usize) -> Columns {
    keyed(rows, |at| (unit(at) * 63.0).exp2() as i64)
}

fn one_value(rows: usize) -> Columns {
    keyed(rows, |at| if !mix(at + 3).is_multiple_of(20) { 42 } else { mix(at) as i64 })
}

fn half_one(rows: usize) -> Columns {
    keyed(rows, |at| if !mix(at + 3).is_multiple_of(2) { 42 } else { mix(at) as i64 })
}

/// TPC-H's lineitem with all columns, its strings as Arrow's plainest.
fn lineitem(rows: usize) -> Columns {
    const NAMES: [&str; 16] = [
        "l_orderkey",
        "l_partkey",
        "l_suppkey",
        "l_linenumber",
        "l_quantity",
        "l_extendedprice",
        "l_discount",
        "l_tax",
        "l_returnflag",
        "l_linestatus",
        "l_shipdate",
        "l_commitdate",
        "l_receiptdate",
        "l_shipinstruct",
        "l_shipmode",
        "l_comment",
    ];
    let lines = LineItemArrow::new(LineItemGenerator::new(rows as f64 / SCALE, 1, 1));
    let batches: Result<Vec<_>, _> = lines.collect();
    let schema = LineItemArrow::schema_ref();
    let table = batches.and_then(|batches| concat_batches(&schema, &batches)).expect("lines");
    let plain = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8View => arrow_cast::cast(column, &DataType::Utf8).expect("strings"),
        _ => column.clone(),
    };
    NAMES.into_iter().zip(table.columns().iter().map(plain)).collect()
}

fn shuffled(rows: usize) -> Columns {
    let lines = lineitem(rows);
    let mut order: Vec<u32> = (0..lines[0].1.len() as u32).collect();
    order.sort_unstable_by_key(|row| mix(u64::from(*row)));
    let order = UInt32Array::from(order);
    let taken = |(name, column): (_, ArrayRef)| (name, take(&column, &order, None).expect("rows"));
    lines.into_iter().map(taken).collect()
}

/// The sort benchmark's records: a key of 10 bytes and 90 beside it.
fn records(rows: usize) -> Columns {
    let bytes = |width: usize, seed: u64| -> ArrayRef {
        let words = (0..(rows * width).div_ceil(8) as u64).map(|at| mix(at ^ seed));
        let bytes = Buffer::from_iter(words).slice_with_length(0, rows * width);
        Arc::new(FixedSizeBinaryArray::new(width as i32, bytes, None))
    };
    vec![("k", bytes(10, 1 << 40)), ("v", bytes(90, 1 << 50))]
}
