//! DataFusion in a program of one's own, over tables in shared memory: the store is a catalog.
//!
//! `cargo run -p sheaf-examples --example query_in_place`

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use datafusion::prelude::SessionContext;
use sheaf_store::{PutOptions, ServeOptions, Server, connect};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let server = Server::spawn(ServeOptions::new(folder.path().join("store.sock"), 256 << 20))?;
    let store = connect(&server.url())?;
    let numbers = Int64Array::from_iter_values(0..1_000_000);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)])?;
    store.put("numbers", &batch.schema(), &[batch], &PutOptions::default())?;

    // These two lines are all there is to it. Nothing is loaded and nothing copied.
    let context = SessionContext::new();
    sheaf_query::register(&context, store)?;

    let query = "select sum(n) from sheaf.public.numbers where n % 2 = 0";
    let batches = context.sql(query).await?.collect().await?;

    let sum = batches[0].column(0).as_primitive::<Int64Type>().value(0);
    assert_eq!(sum, 249_999_500_000);
    println!("the sum of the even ones is {sum}");
    Ok(())
}
