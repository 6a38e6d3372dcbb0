//! Puts of tables: with the pool ready, with none, and one after the other.

use std::time::Instant;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sheaf_store::{Client, PutOptions};

use super::{Row, Scale, size, speed};
use crate::clock::{median, timed};
use crate::private::Memcpy;
use crate::process::{Store, client, settle};
use crate::tables::batch;
use crate::{MIB, Outcome};

/// A table in private memory, put under one name.
struct Source(arrow_array::RecordBatch);

impl Source {
    fn new(bytes: usize) -> Self {
        Self(batch(bytes))
    }

    fn put(&self, client: &Client) -> Outcome<f64> {
        let Self(batch) = self;
        let (schema, batches) = (batch.schema(), std::slice::from_ref(batch));
        let options = PutOptions::default();
        let (put, seconds) = timed(|| client.put("table", &schema, batches, &options));
        put?;
        Ok(seconds)
    }

    fn put_and_delete(&self, client: &Client) -> Outcome<f64> {
        let seconds = self.put(client)?;
        client.delete("table")?;
        settle(client)?;
        Ok(seconds)
    }
}

/// Into memory that the store has ready, by one thread and by as many as it takes by itself.
pub(super) fn ready(scale: Scale) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for bytes in scale.sizes {
        // Two of a size are kept ready, each up to an eighth larger.
        let store = Store::start(4 * bytes + 256 * MIB, 3 * bytes)?;
        let one = client(&store.url(), Some(1))?;
        let several = client(&store.url(), None)?;
        let source = Source::new(bytes);
        let mut memcpy = Memcpy::new(bytes);
        let mut samples: [Vec<f64>; 3] = Default::default();
        source.put_and_delete(&one)?;
        source.put_and_delete(&one)?;
        for round in 0..scale.repeats {
            for turn in 0..3 {
                let which = (round + turn) % 3;
                let seconds = match which {
                    0 => memcpy.seconds(),
                    1 => source.put_and_delete(&one)?,
                    _ => source.put_and_delete(&several)?,
                };
                samples[which].push(seconds);
            }
        }
        let [copy, one, several] = samples.map(|samples| median(&samples));
        for (how, seconds, reach) in [
            ("one thread", one, "0.9 of a warm memcpy"),
            ("default threads", several, "more than one thread"),
        ] {
            rows.push(Row::new(
                format!("put {}, pool ready, {how}", size(bytes)),
                speed(bytes, seconds),
                format!("{:.2} memcpy", copy / seconds),
                reach,
            ));
        }
    }
    Ok(rows)
}

/// Into memory that nobody has prepared.
pub(super) fn empty(scale: Scale) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for bytes in scale.sizes {
        let store = Store::start(2 * bytes + 64 * MIB, 0)?;
        let client = store.client()?;
        let source = Source::new(bytes);
        let plain = Memcpy::new(bytes);
        let (mut puts, mut copies) = (Vec::new(), Vec::new());
        source.put_and_delete(&client)?;
        for round in 0..scale.repeats {
            if round % 2 == 0 {
                puts.push(source.put_and_delete(&client)?);
            }
            copies.push(fresh_copy(plain.source())?);
            if round % 2 != 0 {
                puts.push(source.put_and_delete(&client)?);
            }
        }
        let (put, copy) = (median(&puts), median(&copies));
        rows.push(Row::new(
            format!("put {}, pool empty", size(bytes)),
            speed(bytes, put),
            format!("{:.2} fresh memfd", copy / put),
            "2 x a fresh 4 KiB-page memfd",
        ));
    }
    Ok(rows)
}

/// The seconds that it takes to make a memfd, map it and copy into it, a page fault for each page.
fn fresh_copy(source: &[u8]) -> Outcome<f64> {
    let start = Instant::now();
    let memfd = memfd_create("plain", MemfdFlags::CLOEXEC)?;
    ftruncate(&memfd, source.len() as u64)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a null hint replaces no other mapping; only this function knows of it and its file.
    let base =
        unsafe { mmap(std::ptr::null_mut(), source.len(), access, MapFlags::SHARED, &memfd, 0)? };
    // SAFETY: `source.len()` bytes are mapped for writing, new ones, so they overlap nothing; the
    // mapping goes after its last use.
    unsafe {
        std::ptr::copy_nonoverlapping(source.as_ptr(), base.cast(), source.len());
        munmap(base, source.len())?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Put and delete without a pause.
pub(super) fn sustained(scale: Scale) -> Outcome<Vec<Row>> {
    let bytes = scale.sizes[0];
    let store = Store::start(8 * bytes + 512 * MIB, 4 * bytes)?;
    let client = store.client()?;
    let source = Source::new(bytes);
    let mut memcpy = Memcpy::new(bytes);
    source.put_and_delete(&client)?;
    let mut copies: Vec<f64> = (0..scale.repeats).map(|_| memcpy.seconds()).collect();
    let start = Instant::now();
    for _ in 0..scale.churn {
        source.put(&client)?;
        client.delete("table")?;
    }
    let each = start.elapsed().as_secs_f64() / scale.churn as f64;
    copies.extend((0..scale.repeats).map(|_| memcpy.seconds()));
    Ok(vec![Row::new(
        format!("put + delete {}, {} times", size(bytes), scale.churn),
        speed(bytes, each),
        format!("{:.2} memcpy", median(&copies) / each),
        "above Plasma's (bench/peers)",
    )])
}
