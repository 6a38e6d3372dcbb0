//! Objects of 1 KiB, a hundred to a frame, frames sent ahead.

use sheaf_store::PutOptions;
use sheaf_store::client::{Item, Payload};

use super::{Row, Scale};
use crate::clock::{median, timed};
use crate::process::Store;
use crate::tables::batch;
use crate::{MIB, Outcome};

/// What the client puts into a frame of such objects, about.
const IN_A_FRAME: usize = 100;

/// Objects of one call, which the client cuts into frames and sends ahead.
const IN_A_CALL: usize = 100 * IN_A_FRAME;
const BYTES: usize = 1024;

/// Bytes, and tables of as many bytes.
pub(super) fn pipelined(scale: Scale) -> Outcome<Vec<Row>> {
    let (bytes, table) = (vec![7; BYTES], batch(BYTES));
    let (schema, batches) = (table.schema(), [table]);
    let payloads =
        [("bytes", Payload::Bytes(&bytes)), ("tables", Payload::Table(&schema, &batches))];
    let mut samples: [Vec<f64>; 2] = Default::default();
    for _ in 0..scale.repeats {
        for (samples, (_, payload)) in samples.iter_mut().zip(payloads) {
            samples.push(put_all(payload, scale.calls / 100)?);
        }
    }
    let rows = payloads.iter().zip(&samples).map(|((kind, _), samples)| {
        let rate = 1.0 / median(samples);
        let (rate, ratio) = (format!("{rate:.0} a second"), format!("{:.2}", rate / 200_000.0));
        Row::new(
            format!("put 1 KiB {kind}, pipelined, {IN_A_FRAME} to a frame"),
            rate,
            ratio,
            "200,000 a second",
        )
    });
    Ok(rows.collect())
}

/// The seconds that one object of `calls` calls takes, in a new store.
fn put_all(payload: Payload<'_>, calls: usize) -> Outcome<f64> {
    let store = Store::start(512 * MIB, 0)?;
    let client = store.client()?;
    client.put_bytes("first", b"", &PutOptions::default())?;
    let options = PutOptions::default();
    let names: Vec<String> = (0..calls * IN_A_CALL).map(|index| format!("o{index}")).collect();
    let items: Vec<Item<'_>> = names
        .iter()
        .map(|name| Item { name: name.as_bytes(), payload, options: &options })
        .collect();
    let (done, seconds) = timed(|| {
        items.chunks(IN_A_CALL).try_for_each(|chunk| {
            client.put_many(chunk)?.into_iter().try_for_each(|outcome| outcome.map(|_| ()))
        })
    });
    done?;
    Ok(seconds / names.len() as f64)
}
