//! Writing batches into aligned memory, and what must hold of every file so written.

use std::mem::MaybeUninit;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::ArrayData;
use arrow_schema::SchemaRef;
use sheaf_ipc::{ALIGNMENT, Encoder, File, Plan};

/// A file of these batches, planned as a whole.
pub(crate) fn write(schema: &SchemaRef, batches: &[RecordBatch]) -> Buffer {
    let plan = Plan::new(schema, batches).unwrap();
    fill(plan.len(), |target| plan.write(target, 1))
}

/// A file of these batches, encoded one by one.
pub(crate) fn encode(schema: &SchemaRef, batches: &[RecordBatch]) -> Buffer {
    let mut encoder = Encoder::new(schema.clone()).unwrap();
    let mut parts = vec![encoder.start()];
    parts.extend(batches.iter().map(|batch| encoder.push(batch).unwrap()));
    parts.push(encoder.finish().unwrap());
    let len = parts.iter().map(|part| part.len()).sum();
    fill(len, |target| {
        for part in &parts {
            let start = part.offset() as usize;
            part.write(&mut target[start..start + part.len()]);
        }
    })
}

/// Aligned memory of which every byte is set to 0xAA first, so that unwritten ones show.
pub(crate) fn fill(len: usize, write: impl FnOnce(&mut [MaybeUninit<u8>])) -> Buffer {
    let mut bytes = MutableBuffer::from_len_zeroed(len);
    bytes.as_slice_mut().fill(0xaa);
    let slice = bytes.as_slice_mut();
    // SAFETY: the same bytes; `write` only ever puts initialised ones there.
    let target = unsafe { &mut *(std::ptr::from_mut(slice) as *mut [MaybeUninit<u8>]) };
    write(target);
    bytes.into()
}

/// Opens a file and makes sure that all it holds lies in it, aligned.
pub(crate) fn open(buffer: &Buffer) -> (File, Vec<RecordBatch>) {
    let file = File::open(buffer.clone()).unwrap();
    let batches: Vec<_> = file.batches().collect::<Result<_, _>>().unwrap();
    let bytes = buffer.as_ptr().addr()..buffer.as_ptr().addr() + buffer.len();
    for batch in &batches {
        for column in batch.columns() {
            for part in buffers(&column.to_data()) {
                assert!(bytes.contains(&part.as_ptr().addr()), "a buffer lies elsewhere");
                assert!(bytes.contains(&(part.as_ptr().addr() + part.len() - 1)));
                assert_eq!(part.as_ptr().addr() % ALIGNMENT, 0, "a buffer is not aligned");
            }
        }
    }
    (file, batches)
}

/// All buffers of an array that hold anything.
fn buffers(data: &ArrayData) -> Vec<Buffer> {
    let nulls = data.nulls().map(|nulls| nulls.buffer().clone());
    let mut found: Vec<Buffer> = data.buffers().iter().cloned().chain(nulls).collect();
    found.retain(|buffer| !buffer.is_empty());
    found.extend(data.child_data().iter().flat_map(buffers));
    found
}
