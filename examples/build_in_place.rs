//! A table whose columns are computed where they will lie: there is nothing left to copy.
//!
//! `Client::build` lends the table's own shared memory. Values are zero and valid at first; the
//! seal makes the memory immutable and the table visible.

use std::error::Error;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::{DataType, Field, Schema};
use sheaf_store::{PutOptions, ServeOptions, Server};

const ROWS: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let server = Server::spawn(ServeOptions::new(folder.path().join("store.sock"), 256 << 20))?;
    let store = sheaf_store::connect(&server.url())?;

    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("root", DataType::Float64, true),
    ]));
    let mut table = store.build("roots", &schema, ROWS, &PutOptions::default())?;

    for (row, k) in table.column_mut::<Int64Type>(0)?.iter_mut().enumerate() {
        *k = row as i64 - 1;
    }
    let roots = table.column_mut::<Float64Type>(1)?;
    assert!(lies_in_a_memfd(roots.as_ptr() as usize)?, "written where it will lie");
    for (row, root) in roots.iter_mut().enumerate().skip(1) {
        *root = (row as f64 - 1.0).sqrt();
    }
    // The first row has k = -1 and no root: a cleared bit is a null.
    let validity = table.validity_mut(1).ok_or("the column is nullable")?;
    validity[0] &= !1;

    // From here on the kernel refuses every write, ours too.
    let info = table.seal()?;
    assert_eq!(info.rows, ROWS as u64);

    let table = store.get("roots")?.table()?;
    let batch = table.batch(0)?;
    let roots = batch.column(1).as_primitive::<Float64Type>();
    println!("{} rows, {} bytes, {} null", info.rows, info.bytes, roots.null_count());
    assert_eq!(roots.null_count(), 1);
    assert_eq!(roots.value(145), 12.0);
    Ok(())
}

/// Whether the kernel says that this address of ours is in a memfd of the store.
fn lies_in_a_memfd(address: usize) -> Result<bool, Box<dyn Error>> {
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let (range, rest) = line.split_once(' ').ok_or("a line of maps")?;
        let (start, end) = range.split_once('-').ok_or("a range of addresses")?;
        let (start, end) = (usize::from_str_radix(start, 16)?, usize::from_str_radix(end, 16)?);
        if (start..end).contains(&address) {
            return Ok(rest.contains("/memfd:sheaf"));
        }
    }
    Ok(false)
}
