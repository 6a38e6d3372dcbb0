//! Small sound files for the fuzzer to start from.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Int32Array, RecordBatch};

use crate::harness::write;
use crate::samples::{batch, columns};

#[test]
#[ignore = "writes fuzz/corpus/ipc_open: run it when the format or the samples change"]
fn seeds_for_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ipc_open");
    std::fs::create_dir_all(&folder).unwrap();
    let save = |name: &str, batches: &[RecordBatch]| {
        let bytes = write(&batches[0].schema(), batches);
        std::fs::write(folder.join(name), &bytes).unwrap();
    };

    // One file per kind of layout; types of the same layout add nothing.
    let columns = columns(4);
    for at in [0, 1, 4, 24, 26, 27, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42, 43, 46, 48] {
        save(&format!("{at:02}"), &[batch(vec![columns[at].clone()])]);
    }
    let ints = batch(vec![Arc::new(Int32Array::from(vec![1, 2, 3]))]);
    save("batches", &[ints.slice(0, 2), ints.slice(0, 0), ints]);
}
