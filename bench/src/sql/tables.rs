//! The tables: TPC-H's, by its generator, and page views, by chance from a seed.

use std::sync::Arc;

use arrow_array::types::{Date32Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch, StringArray, TimestampSecondArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use super::Named;

/// Rows of a batch, as most programs that write tables have it.
const BATCH_ROWS: usize = 64 << 10;

/// TPC-H's eight tables. Strings are plain ones, not views: so do most programs have them.
#[must_use]
pub fn tpch(scale: f64) -> Vec<Named> {
    vec![
        table("region", RegionArrow::new(RegionGenerator::new(scale, 1, 1))),
        table("nation", NationArrow::new(NationGenerator::new(scale, 1, 1))),
        table("supplier", SupplierArrow::new(SupplierGenerator::new(scale, 1, 1))),
        table("customer", CustomerArrow::new(CustomerGenerator::new(scale, 1, 1))),
        table("part", PartArrow::new(PartGenerator::new(scale, 1, 1))),
        table("partsupp", PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1))),
        table("orders", OrderArrow::new(OrderGenerator::new(scale, 1, 1))),
        table("lineitem", LineItemArrow::new(LineItemGenerator::new(scale, 1, 1))),
    ]
}

fn table(
    name: &'static str,
    batches: impl Iterator<Item = Result<RecordBatch, arrow_schema::ArrowError>>,
) -> Named {
    let mut all = Vec::new();
    let mut some: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    for batch in batches {
        let batch = plain(&batch.expect("a generator's batch"));
        rows += batch.num_rows();
        some.push(batch);
        if rows >= BATCH_ROWS {
            all.push(concat_batches(&some[0].schema(), &some).expect("one schema"));
            (some, rows) = (Vec::new(), 0);
        }
    }
    if !some.is_empty() {
        all.push(concat_batches(&some[0].schema(), &some).expect("one schema"));
    }
    Named { name, schema: all[0].schema(), batches: all }
}

fn plain(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let is_view = |field: &Field| *field.data_type() == DataType::Utf8View;
    let fields = schema.fields().iter().map(|field| match is_view(field) {
        true => field.as_ref().clone().with_data_type(DataType::Utf8),
        false => field.as_ref().clone(),
    });
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()).expect("strings"));
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("the same rows")
}

/// Numbers by chance, the same each time (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// Small numbers often, large ones seldom.
    fn skewed(&mut self, most: u64) -> u64 {
        let exponent = self.below(most.ilog2() as u64 + 1);
        self.below(1 << exponent).min(most - 1)
    }
}

/// Page views: 17 columns, some of them strings, in the order of their time.
#[must_use]
pub fn hits(rows: usize) -> Named {
    let batches: Vec<RecordBatch> = (0..rows.max(1))
        .step_by(BATCH_ROWS)
        .map(|start| hits_batch(start, BATCH_ROWS.min(rows.max(1) - start), rows.max(1)))
        .collect();
    Named { name: "hits", schema: batches[0].schema(), batches }
}

fn hits_batch(start: usize, rows: usize, all: usize) -> RecordBatch {
    /// The first of July 2013, in seconds and in days since the Unix epoch.
    const JULY: i64 = 1_372_636_800;
    const DAY: i64 = 86_400;
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (start as u64 + 1));
    let time = |row: usize| JULY + ((start + row) as i64 * 31 * DAY) / all as i64;
    let mut number = |most: u64| -> Vec<u64> { (0..rows).map(|_| chance.skewed(most)).collect() };
    let (counters, regions, users) = (number(6000), number(5000), number(2_000_000));
    let (engines, adverts, phones) = (number(90), number(60), number(150));
    let (words, pages, widths) = (number(1_000_000), number(3_000_000), number(1920));
    let (addresses, refreshes) = (number(1 << 31), number(2));
    let small = |values: &[u64]| -> ArrayRef {
        let values = values.iter().map(|value| *value as i16);
        Arc::new(PrimitiveArray::<Int16Type>::from_iter_values(values))
    };
    let plain = |values: &[u64]| -> ArrayRef {
        let values = values.iter().map(|value| *value as i32);
        Arc::new(PrimitiveArray::<Int32Type>::from_iter_values(values))
    };
    let large = |values: &mut dyn Iterator<Item = u64>| -> ArrayRef {
        Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(values.map(u64::cast_signed)))
    };
    let spread = |value: u64| value.wrapping_mul(0x5851_f42d_4c95_7f2d) >> 2;
    let texts = |text: &mut dyn Iterator<Item = String>| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(text))
    };
    let host = |page: u64| match page % 50 {
        0 => "www.google.com",
        1..6 => "news.example.org",
        _ => "shop.example.net",
    };
    let days = (0..rows).map(|row| (time(row) / DAY) as i32);
    let times = TimestampSecondArray::from_iter_values((0..rows).map(time));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("watch_id", large(&mut (0..rows).map(|row| spread((start + row) as u64)))),
        ("event_time", Arc::new(times)),
        ("event_date", Arc::new(PrimitiveArray::<Date32Type>::from_iter_values(days))),
        ("counter_id", plain(&counters)),
        ("client_ip", plain(&addresses)),
        ("region_id", plain(&regions)),
        ("user_id", large(&mut users.iter().map(|user| spread(*user)))),
        (
            "url",
            texts(&mut pages.iter().map(|page| {
                format!(
                    "http://{}/section/{}/page/{page}?from={}",
                    host(*page),
                    page % 97,
                    page % 11
                )
            })),
        ),
        (
            "title",
            texts(&mut pages.iter().map(|page| match page % 200 {
                0 => format!("Google and page {page}"),
                _ => format!("The title of page {page}, in section {}", page % 97),
            })),
        ),
        ("is_refresh", small(&refreshes)),
        ("resolution_width", small(&widths)),
        (
            "phone_model",
            texts(&mut phones.iter().map(|phone| match phone {
                0..4 => String::new(),
                phone => format!("model {phone}"),
            })),
        ),
        ("search_engine_id", small(&engines)),
        ("adv_engine_id", small(&adverts)),
        (
            "search_phrase",
            texts(&mut words.iter().map(|word| match word {
                0..40 => String::new(),
                word => format!("how to find thing {word}"),
            })),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
