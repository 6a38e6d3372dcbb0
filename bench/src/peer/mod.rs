//! `sheaf-peer`: the workloads of `bench/peers/README.md` on this store.
//!
//! Two servers: one that prepares memory ahead, as by default but for more of it, and one that
//! prepares nothing, for `put-fresh` alone.

mod large;
mod small;

use clap::Parser;
use serde_json::json;
use sheaf_store::{Client, PutOptions};

pub use large::read_table;
pub use small::read_small;

use crate::private::Memcpy;
use crate::process::{Store, settle};
use crate::tables::{batch, sum_ids};
use crate::{MIB, Outcome, clock};

/// The flags of every peer's program, and the workloads.
#[derive(Debug, Parser)]
pub struct Options {
    /// Bytes of the tables, ascending
    #[arg(long, value_delimiter = ',', required = true)]
    sizes: Vec<usize>,
    /// Samples of a repeated operation
    #[arg(long)]
    repeats: usize,
    /// New processes per size in `get`
    #[arg(long)]
    readers: usize,
    /// Puts and deletes in `churn`
    #[arg(long)]
    churn: usize,
    /// Small objects in a batch
    #[arg(long)]
    small: usize,
    /// In the order in which they are done
    #[arg(required = true)]
    workloads: Vec<String>,
}

impl Options {
    /// Twice what any workload keeps at once, so that nothing is evicted.
    fn capacity(&self) -> usize {
        2 * (self.sizes.iter().sum::<usize>() + 64 * MIB)
    }
}

/// A store, a client of it, and what is asked of them.
struct Bench<'a> {
    options: &'a Options,
    store: Store,
    client: Client,
}

impl<'a> Bench<'a> {
    /// A new store. Before the clock first runs, one small object comes and goes.
    fn start(options: &'a Options, pool_bytes: usize) -> Outcome<Self> {
        let store = Store::start(options.capacity(), pool_bytes)?;
        let client = store.client()?;
        client.put_bytes("first", &small::value(), &PutOptions::default())?;
        client.delete("first")?;
        settle(&client)?;
        Ok(Self { options, store, client })
    }
}

/// One result of the contract.
struct Sample {
    workload: &'static str,
    object_bytes: usize,
    bytes: usize,
    seconds: Vec<f64>,
    operations: usize,
}

impl Sample {
    fn print(&self) {
        let Self { workload, object_bytes, bytes, seconds, operations } = self;
        let line = json!({
            "workload": workload,
            "object_bytes": object_bytes,
            "bytes": bytes,
            "seconds": seconds,
            "operations": operations,
        });
        println!("{line}");
    }
}

/// Runs the workloads that are asked for and prints a line for each result.
///
/// # Errors
/// For an unknown workload, a wrong sum, or whatever the store says.
pub fn run(options: &Options) -> Outcome<()> {
    println!("{}", json!({ "peer": "sheaf", "version": env!("CARGO_PKG_VERSION") }));
    let bench = Bench::start(options, options.capacity())?;
    for workload in &options.workloads {
        match workload.as_str() {
            "memcpy" => memcpy(options),
            "sum" => sum(options),
            "put-fresh" => large::put_fresh(&Bench::start(options, 0)?)?,
            "put-recycled" => large::put_recycled(&bench)?,
            "churn" => large::churn(&bench)?,
            "get" => large::get(&bench)?,
            "put-small" => small::put(&bench)?,
            "get-small" => small::get(&bench)?,
            _ => return Err(format!("no workload {workload}").into()),
        }
    }
    Ok(())
}

/// The yardstick: warm private memory to warm private memory, in one thread.
fn memcpy(options: &Options) {
    for &size in &options.sizes {
        let mut memcpy = Memcpy::new(size);
        let seconds = (0..options.repeats).map(|_| memcpy.seconds()).collect();
        let sample =
            Sample { workload: "memcpy", object_bytes: size, bytes: size, seconds, operations: 1 };
        sample.print();
    }
}

/// The floor of every get + sum: the same column in private memory.
fn sum(options: &Options) {
    for &size in &options.sizes {
        let table = batch(size);
        let once = || clock::timed(|| std::hint::black_box(sum_ids(&table))).1;
        once();
        let seconds = (0..options.repeats).map(|_| once()).collect();
        let bytes = size / 2;
        Sample { workload: "sum", object_bytes: size, bytes, seconds, operations: 1 }.print();
    }
}
