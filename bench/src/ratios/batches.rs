//! A table of many batches: what one batch costs by itself.

use arrow_array::RecordBatch;
use sheaf_store::{Client, PutOptions};

use super::{Row, Scale};
use crate::clock::{median, timed};
use crate::process::{Store, settle};
use crate::tables::{ROW_BYTES, batch, schema, sum_all};
use crate::{MIB, Outcome};

/// Rows of one batch.
const ROWS: usize = 1000;

/// Many batches, a tenth as many, and one of the same bytes.
pub(super) fn many(scale: Scale) -> Outcome<Vec<Row>> {
    let bytes = scale.batches * ROWS * ROW_BYTES;
    let whole = batch(bytes);
    let cut = |count: usize| -> Vec<RecordBatch> {
        (0..count).map(|index| whole.slice(index * ROWS, ROWS)).collect()
    };
    let tables = [cut(scale.batches), cut(scale.batches / 10), vec![whole.clone()]];
    let store = Store::start(8 * bytes + 512 * MIB, 6 * bytes + 256 * MIB)?;
    let client = store.client()?;
    let mut puts: [Vec<f64>; 3] = Default::default();
    let mut gets: [Vec<f64>; 3] = Default::default();
    for table in tables.iter().chain(&tables) {
        put_and_get(&client, table)?; // The pool learns the sizes.
    }
    for round in 0..scale.repeats {
        for turn in 0..tables.len() {
            let which = (round + turn) % tables.len();
            let (put, get) = put_and_get(&client, &tables[which])?;
            puts[which].push(put);
            gets[which].push(get);
        }
    }
    let mut rows = Vec::new();
    for (verb, samples) in [("put", puts), ("get + read", gets)] {
        let [many, tenth, one] = samples.map(|samples| median(&samples));
        rows.push(Row::new(
            format!("{verb} {} batches of {} KB", scale.batches, ROWS * ROW_BYTES / 1000),
            format!("{:.1} ms", many * 1e3),
            format!("{:.1} x a tenth", many / tenth),
            "10 x: linear in bytes",
        ));
        rows.push(Row::new(
            format!("{verb} one batch of the same bytes"),
            format!("{:.1} ms", one * 1e3),
            format!("{:+.2} us a batch", (many - one) / scale.batches as f64 * 1e6),
            "no round trip for each batch",
        ));
    }
    Ok(rows)
}

/// The seconds of a put, and of a get that reads every byte.
fn put_and_get(client: &Client, batches: &[RecordBatch]) -> Outcome<(f64, f64)> {
    let options = PutOptions::default();
    let (put, put_seconds) = timed(|| client.put("table", &schema(), batches, &options));
    put?;
    let (sum, get_seconds) = timed(|| {
        let table = client.get("table")?.table()?;
        table.batches().try_fold(0_i64, |sum, batch| {
            Ok::<_, sheaf_store::Error>(sum.wrapping_add(sum_all(&batch?)))
        })
    });
    std::hint::black_box(sum?);
    client.delete("table")?;
    settle(client)?;
    Ok((put_seconds, get_seconds))
}
