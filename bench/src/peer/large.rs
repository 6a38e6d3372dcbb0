//! Tables: put into fresh and into prepared memory, put and deleted in a row, got by others.

use std::time::Instant;

use arrow_array::RecordBatch;
use sheaf_store::{Client, Object, PutOptions};

use super::{Bench, Sample};
use crate::process::{self, argument, settle};
use crate::tables::{batch, expected_sum, schema, sum_ids};
use crate::{Outcome, clock};

fn put(client: &Client, name: &str, table: &RecordBatch) -> Outcome<f64> {
    let schema = table.schema();
    let batches = std::slice::from_ref(table);
    let options = PutOptions::default();
    let (put, seconds) = clock::timed(|| client.put(name, &schema, batches, &options));
    put?;
    Ok(seconds)
}

/// Puts that keep what they put, in a store that prepares nothing ahead.
pub(super) fn put_fresh(bench: &Bench<'_>) -> Outcome<()> {
    for &size in &bench.options.sizes {
        let seconds = vec![put(&bench.client, &format!("fresh-{size}"), &batch(size))?];
        let workload = "put-fresh";
        Sample { workload, object_bytes: size, bytes: size, seconds, operations: 1 }.print();
    }
    Ok(())
}

/// Puts into memory that the store has ready. Deletion and recovery are not counted.
pub(super) fn put_recycled(bench: &Bench<'_>) -> Outcome<()> {
    for &size in &bench.options.sizes {
        let table = batch(size);
        let mut seconds = Vec::new();
        for _ in 0..2 + bench.options.repeats {
            seconds.push(put(&bench.client, "recycled", &table)?);
            bench.client.delete("recycled")?;
            settle(&bench.client)?;
        }
        seconds.drain(..2);
        let workload = "put-recycled";
        Sample { workload, object_bytes: size, bytes: size, seconds, operations: 1 }.print();
    }
    Ok(())
}

/// Put and delete without a pause.
pub(super) fn churn(bench: &Bench<'_>) -> Outcome<()> {
    let Some(&size) = bench.options.sizes.first() else { return Ok(()) };
    let table = batch(size);
    let start = Instant::now();
    for _ in 0..bench.options.churn {
        put(&bench.client, "churn", &table)?;
        bench.client.delete("churn")?;
    }
    let seconds = vec![start.elapsed().as_secs_f64()];
    let operations = bench.options.churn;
    Sample { workload: "churn", object_bytes: size, bytes: size, seconds, operations }.print();
    settle(&bench.client)?;
    Ok(())
}

/// Gets by new processes: the first of each, which maps the memory, and those that follow.
pub(super) fn get(bench: &Bench<'_>) -> Outcome<()> {
    let options = bench.options;
    for &size in &options.sizes {
        put(&bench.client, "read", &batch(size))?;
        let mut reads: Vec<Vec<[f64; 2]>> = Vec::new();
        for _ in 0..options.readers {
            let (url, repeats) = (bench.store.url(), options.repeats.to_string());
            let lines = process::run("reader", &[&url, "read", &size.to_string(), &repeats])?;
            reads.push(lines.iter().map(|line| pair(line)).collect::<Outcome<_>>()?);
        }
        bench.client.delete("read")?;
        settle(&bench.client)?;

        let first: Vec<_> = reads.iter().map(|of_reader| of_reader[0]).collect();
        let again: Vec<_> = reads.iter().flat_map(|of_reader| &of_reader[1..]).copied().collect();
        for (names, samples) in
            [(["get-first", "get-first-sum"], first), (["get-again", "get-again-sum"], again)]
        {
            for (at, workload) in names.into_iter().enumerate() {
                let seconds = samples.iter().map(|sample| sample[at]).collect();
                let bytes = at * size / 2;
                Sample { workload, object_bytes: size, bytes, seconds, operations: 1 }.print();
            }
        }
    }
    Ok(())
}

fn pair(line: &str) -> Outcome<[f64; 2]> {
    let (got, summed) = line.split_once(' ').ok_or("a reader printed something else")?;
    Ok([got.parse()?, summed.parse()?])
}

/// The role of a reader (`URL NAME BYTES REPEATS`): prints, for each read, the seconds until the
/// table was there and until its column was summed.
///
/// # Errors
/// When a sum is wrong, or the store says so.
pub fn read_table(arguments: &[String]) -> Outcome<()> {
    let client = process::client(&arguments[0], None)?;
    let (size, repeats) = (argument(arguments, 2)?, argument::<usize>(arguments, 3)?);
    for _ in 0..1 + repeats {
        let start = Instant::now();
        let object: Object = client.get(&arguments[1])?;
        let table = object.table()?.batch(0)?;
        let got = start.elapsed().as_secs_f64();
        let total = sum_ids(&table);
        let summed = start.elapsed().as_secs_f64();

        if table.schema() != schema() || total != expected_sum(size) {
            return Err(format!("read a wrong sum from a table of {size} bytes: {total}").into());
        }
        println!("{got} {summed}");
    }
    Ok(())
}
