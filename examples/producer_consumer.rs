//! Two processes, one table: a producer puts it, a consumer maps it and computes on it.
//!
//! The program starts itself again as the consumer. The two share a socket's path and a name,
//! and the pages of the table; no byte of it goes through the socket.

use std::error::Error;
use std::process::Command;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use sheaf_store::{PutOptions, ServeOptions, Server};

const ROWS: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        None => produce(),
        Some(url) => consume(&url),
    }
}

fn produce() -> Result<(), Box<dyn Error>> {
    // A store of its own, on a thread. `sheaf serve` is the same thing as a program.
    let folder = tempfile::tempdir()?;
    let server = Server::spawn(ServeOptions::new(folder.path().join("store.sock"), 256 << 20))?;
    let store = sheaf_store::connect(&server.url())?;

    let symbols = StringArray::from_iter_values((0..ROWS).map(|row| ["AAA", "BB"][row % 2]));
    let prices = Float64Array::from_iter_values((0..ROWS).map(|row| row as f64));
    let columns: [(_, ArrayRef); 2] = [("symbol", Arc::new(symbols)), ("price", Arc::new(prices))];
    let batch = RecordBatch::try_from_iter(columns)?;
    let info = store.put("trades", &batch.schema(), &[batch], &PutOptions::default())?;
    println!("process {} put {} bytes", std::process::id(), info.bytes);

    let consumer = Command::new(std::env::current_exe()?).arg(server.url()).output()?;
    assert!(consumer.status.success(), "{}", String::from_utf8_lossy(&consumer.stderr));
    let said = String::from_utf8(consumer.stdout)?;
    print!("{said}");
    let sum: f64 = said.split_whitespace().last().ok_or("no sum")?.parse()?;
    assert_eq!(sum, (ROWS * (ROWS - 1) / 2) as f64);
    Ok(())
}

fn consume(url: &str) -> Result<(), Box<dyn Error>> {
    let table = sheaf_store::connect(url)?.get("trades")?.table()?;
    let mapping = table.mapped_range().ok_or("a table of this size is mapped")?;

    let mut sum = 0.0;
    for batch in table.batches() {
        let batch = batch?;
        // Every buffer of every column is the shared memory itself: nothing was copied.
        for buffer in batch.columns().iter().flat_map(|column| column.to_data().buffers().to_vec())
        {
            let start = buffer.as_ptr() as usize;
            assert!(mapping.contains(&start) && start + buffer.len() <= mapping.end);
        }
        sum += batch.column(1).as_primitive::<Float64Type>().values().iter().sum::<f64>();
    }
    println!("process {} mapped it; its prices sum to {sum}", std::process::id());
    Ok(())
}
