//! Each query over the store and over DataFusion's `MemTable`, in turns, in one process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use sheaf_store::{Client, PutOptions};

use super::{Named, Set};
use crate::Outcome;
use crate::clock::median;

/// Rows of a batch of the `MemTable`: what the engine works in.
const ENGINE_ROWS: usize = 8192;

/// What a query took: over the store, and over `MemTable`.
pub struct Took {
    /// Its name.
    pub query: &'static str,
    /// Seconds over the store.
    pub store: f64,
    /// Seconds over `MemTable`.
    pub memory: f64,
}

/// Puts the tables into the store.
///
/// # Errors
/// When there is no room.
pub fn put(store: &Client, tables: &[Named]) -> Outcome<()> {
    let options = PutOptions { replace: true, ..PutOptions::default() };
    for Named { name, schema, batches } in tables {
        store.put(name, schema, batches, &options)?;
    }
    Ok(())
}

/// Runs the queries; the results of both must be of one length.
///
/// # Errors
/// When a query fails.
pub fn run(
    set: Set,
    store: Client,
    tables: Vec<Named>,
    rounds: usize,
    only: &str,
    tell: impl Fn(&Took),
) -> Outcome<Vec<Took>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let config = || {
        let catalog = "sheaf";
        SessionConfig::new()
            .with_target_partitions(threads)
            .with_default_catalog_and_schema(catalog, "public")
    };
    let stored = SessionContext::new_with_config(config());
    sheaf_query::register(&stored, store)?;
    let memory = SessionContext::new_with_config(config());
    for Named { name, schema, batches } in tables {
        let table = MemTable::try_new(schema, shared_out(&batches, threads))?;
        memory.register_table(name, Arc::new(table))?;
    }
    let queries: Vec<_> =
        set.queries().into_iter().filter(|(name, _)| name.contains(only)).collect();
    // Statistics come a moment after a table is first met.
    for (_, text) in &queries {
        runtime.block_on(async { stored.sql(text).await?.create_physical_plan().await })?;
    }
    std::thread::sleep(Duration::from_secs(3));
    let mut all = Vec::new();
    for (query, text) in queries {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            let mut rows = [0, 0];
            // Each begins as often as the other.
            for side in [round % 2, 1 - round % 2] {
                let context = if side == 0 { &stored } else { &memory };
                let start = Instant::now();
                let batches =
                    runtime.block_on(async { context.sql(text).await?.collect().await })?;
                let took = start.elapsed().as_secs_f64();
                rows[side] = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
                if round > 0 {
                    times[side].push(took);
                }
            }
            if rows[0] != rows[1] {
                return Err(format!("{query}: {} rows and {}", rows[0], rows[1]).into());
            }
        }
        let [store, memory] = times.map(|times| median(&times));
        let took = Took { query, store, memory };
        tell(&took);
        all.push(took);
    }
    Ok(all)
}

/// The rows in batches of the engine's size, in as many partitions as there are threads.
fn shared_out(batches: &[RecordBatch], partitions: usize) -> Vec<Vec<RecordBatch>> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let share = rows.div_ceil(partitions).max(1);
    let mut all = vec![Vec::new(); partitions];
    let mut done = 0;
    for batch in batches {
        for start in (0..batch.num_rows()).step_by(ENGINE_ROWS) {
            let piece = batch.slice(start, ENGINE_ROWS.min(batch.num_rows() - start));
            // A copy: a slice would be charged for all of its batch.
            let rows = arrow_array::UInt64Array::from_iter_values(0..piece.num_rows() as u64);
            let piece =
                arrow_select::take::take_record_batch(&piece, &rows).expect("the same rows");
            done += piece.num_rows();
            all[((done - 1) / share).min(partitions - 1)].push(piece);
        }
    }
    all
}
