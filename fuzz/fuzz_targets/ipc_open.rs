//! Any bytes at all: opened with full checking, they are refused, or can be read to the end,
//! written anew, and opened again.
//!
//! Nothing may panic outside of `File::open`'s own guard, and no allocation may outgrow the
//! input by far (run with `-malloc_limit_mb=64`).

#![no_main]

use std::mem::MaybeUninit;

use arrow_buffer::{Buffer, MutableBuffer};
use libfuzzer_sys::fuzz_target;
use sheaf_ipc::{File, Plan};

fn open(bytes: &[u8]) {
    // Aligned, as a mapping is.
    let mut aligned = MutableBuffer::new(bytes.len());
    aligned.extend_from_slice(bytes);
    let Ok(file) = File::open(Buffer::from(aligned)) else { return };

    let batches: Vec<_> =
        file.batches().map(|batch| batch.expect("what was accepted can be read")).collect();
    let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    assert_eq!(rows, file.num_rows());
    assert!(file.messages().count() > batches.len());
    for i in 0..batches.len() {
        file.batch_metadata(i).expect("what was accepted can be read");
    }

    // Copying reaches into every buffer there is.
    let Ok(plan) = Plan::new(file.schema(), &batches) else { return };
    let mut copy = vec![MaybeUninit::new(0xaa); plan.len()];
    plan.write(&mut copy, 1);
    let copy: MutableBuffer = copy
        .into_iter()
        // SAFETY: every byte was initialised before, and written since.
        .map(|byte| unsafe { byte.assume_init() })
        .collect();
    let again = File::open(copy.into()).expect("what was written can be opened");
    assert_eq!(again.num_rows(), rows);
}

fuzz_target!(
    // libfuzzer aborts on any panic by a hook of its own. Panics of arrow-rs that `File::open`
    // catches are errors; those that get away abort without the hook too.
    init: {
        let _ = std::panic::take_hook();
    },
    |bytes: &[u8]| {
        open(bytes);
    }
);
