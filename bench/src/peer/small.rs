//! Objects of 1 KiB: one call each.

use sheaf_store::{Client, PutOptions};

use super::{Bench, Sample};
use crate::process::{self, argument, settle};
use crate::{Outcome, clock};

const BYTES: usize = 1024;
const BATCHES: usize = 5;

/// Int64 0 to 127.
pub(super) fn value() -> Vec<u8> {
    (0..BYTES as i64 / 8).flat_map(i64::to_le_bytes).collect()
}

fn sum(bytes: &[u8]) -> i64 {
    let (words, _) = bytes.as_chunks();
    words.iter().fold(0, |sum, word| sum.wrapping_add(i64::from_le_bytes(*word)))
}

/// Puts, one call each, all kept until their batch is timed.
pub(super) fn put(bench: &Bench<'_>) -> Outcome<()> {
    let names = names(bench.options.small);
    let mut seconds = Vec::new();
    for _ in 0..BATCHES {
        let (put, took) = clock::timed(|| put_all(&bench.client, &names));
        put?;
        seconds.push(took);
        delete_all(&bench.client, &names)?;
    }
    let operations = bench.options.small;
    let workload = "put-small";
    Sample { workload, object_bytes: BYTES, bytes: BYTES, seconds, operations }.print();
    Ok(())
}

/// Gets by a new process: half of the objects, and the others with their sums.
pub(super) fn get(bench: &Bench<'_>) -> Outcome<()> {
    let names = names(2 * BATCHES * bench.options.small);
    put_all(&bench.client, &names)?;
    let batch = bench.options.small.to_string();
    let lines = process::run("small-reader", &[&bench.store.url(), &batch])?;
    delete_all(&bench.client, &names)?;

    let seconds: Vec<f64> = lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?;
    let (gets, sums) = seconds.split_at(BATCHES);
    let operations = bench.options.small;
    for (workload, bytes, seconds) in [("get-small", 0, gets), ("get-small-sum", BYTES, sums)] {
        let seconds = seconds.to_vec();
        Sample { workload, object_bytes: BYTES, bytes, seconds, operations }.print();
    }
    Ok(())
}

/// The role of a reader (`URL BATCH`): prints the seconds of five batches of gets, then of five
/// batches of gets and sums.
///
/// # Errors
/// When a sum is wrong, or the store says so.
pub fn read_small(arguments: &[String]) -> Outcome<()> {
    let client = process::client(&arguments[0], None)?;
    let batch = argument::<usize>(arguments, 1)?;
    let expected = sum(&value());
    for (index, names) in names(2 * BATCHES * batch).chunks(batch).enumerate() {
        let sums = index >= BATCHES;
        let (got, seconds) = clock::timed(|| {
            names.iter().try_fold(true, |right, name| {
                let object = client.get(name)?;
                Ok::<_, sheaf_store::Error>(right && (!sums || sum(object.as_bytes()) == expected))
            })
        });
        if !got? {
            return Err("read a wrong sum from a small object".into());
        }
        println!("{seconds}");
    }
    Ok(())
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("small-{index}")).collect()
}

fn put_all(client: &Client, names: &[String]) -> Outcome<()> {
    let (value, options) = (value(), PutOptions::default());
    for name in names {
        client.put_bytes(name, &value, &options)?;
    }
    Ok(())
}

fn delete_all(client: &Client, names: &[String]) -> Outcome<()> {
    for name in names {
        client.delete(name)?;
    }
    settle(client)?;
    Ok(())
}
