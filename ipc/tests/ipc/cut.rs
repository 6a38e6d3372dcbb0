//! Pieces of a batch are the batch: read by arrow-rs as a stream, they add up to it.

use std::io::Cursor;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamReader;
use proptest::prelude::*;
use sheaf_ipc::{Cutter, File, MessageKind, Metadata, Piece};

use crate::harness::write;
use crate::properties::{config, tables};
use crate::samples::all_types;

fn frame(stream: &mut Vec<u8>, header: &[u8], body: &[u8]) {
    let len = header.len().next_multiple_of(8);
    stream.extend_from_slice(&[0xff; 4]);
    stream.extend_from_slice(&(len as u32).to_le_bytes());
    stream.extend_from_slice(header);
    stream.resize(stream.len() + len - header.len(), 0);
    stream.extend_from_slice(body);
}

fn body(piece: &Piece) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (buffer, zeros) in &piece.body {
        bytes.extend_from_slice(buffer);
        bytes.resize(bytes.len() + zeros, 0);
    }
    assert_eq!(bytes.len(), piece.body_len, "the body is as long as the message says");
    bytes
}

/// All pieces of all batches, of at most so many bytes each.
fn pieces(file: &File, most: usize) -> Vec<(usize, Piece)> {
    let mut cutter = Cutter::new(file).unwrap();
    let mut all = Vec::new();
    for index in 0..file.num_batches() {
        let rows = cutter.num_rows(index).unwrap();
        let mut start = 0;
        loop {
            let piece = cutter.piece(index, start, most, &Metadata::new()).unwrap();
            start = piece.rows.end;
            all.push((index, piece));
            if start == rows {
                break;
            }
        }
    }
    all
}

/// What arrow-rs reads from the schema, the dictionaries and these pieces.
fn read(file: &File, pieces: &[(usize, Piece)]) -> Vec<RecordBatch> {
    let mut stream = Vec::new();
    for message in file.messages().filter(|message| message.kind != MessageKind::Batch) {
        frame(&mut stream, &message.header, &message.body);
    }
    for (_, piece) in pieces {
        frame(&mut stream, &piece.header, &body(piece));
    }
    let reader = StreamReader::try_new(Cursor::new(stream), None).unwrap();
    reader.collect::<Result<_, _>>().unwrap()
}

fn adds_up(batches: &[RecordBatch], most: usize) {
    let schema = batches[0].schema();
    let (file, _) = crate::harness::open(&write(&schema, batches));

    let pieces = pieces(&file, most);
    let read = read(&file, &pieces);

    assert_eq!(read.len(), pieces.len());
    for (got, (index, piece)) in read.iter().zip(&pieces) {
        assert_eq!(*got, batches[*index].slice(piece.rows.start, piece.rows.len()));
        assert!(piece.body_len <= most || piece.rows.len() <= 1, "{} bytes", piece.body_len);
    }
}

#[test]
fn pieces_of_every_type_add_up_to_the_batch() {
    for rows in [0, 1, 63, 64, 65, 1000] {
        for most in [1, 30_000, 200_000, usize::MAX] {
            adds_up(&[all_types(rows)], most);
        }
    }
}

#[test]
fn a_piece_that_is_the_whole_batch_has_all_its_rows() {
    let batch = all_types(100);
    let (file, _) = crate::harness::open(&write(&batch.schema(), std::slice::from_ref(&batch)));

    let pieces = pieces(&file, usize::MAX);

    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].1.rows, 0..100);
}

#[test]
fn the_values_of_a_piece_lie_in_the_file() {
    let ids = arrow_array::Int64Array::from_iter_values(0..10_000);
    let some =
        arrow_array::Float64Array::from_iter((0..10_000).map(|i| (i % 3 > 0).then_some(1.0)));
    let batch = RecordBatch::try_from_iter([
        ("id", std::sync::Arc::new(ids) as arrow_array::ArrayRef),
        ("some", std::sync::Arc::new(some)),
    ]);
    let batch = batch.unwrap();
    let buffer: Buffer = write(&batch.schema(), std::slice::from_ref(&batch));
    let (file, _) = crate::harness::open(&buffer);
    let range = buffer.as_ptr_range();

    let pieces = pieces(&file, 20_000);

    assert!(pieces.len() > 5);
    for (_, piece) in &pieces {
        assert_eq!(piece.rows.start % 64, 0);
        for (slice, zeros) in &piece.body {
            assert!(range.contains(&slice.as_ptr()) || slice.is_empty());
            assert!(*zeros < 64);
        }
    }
}

#[test]
fn there_is_no_piece_past_the_end() {
    let batch = all_types(10);
    let (file, _) = crate::harness::open(&write(&batch.schema(), &[batch]));
    let mut cutter = Cutter::new(&file).unwrap();

    assert!(cutter.piece(0, 10, 100, &Metadata::new()).is_err());
    assert!(cutter.piece(1, 0, 100, &Metadata::new()).is_err());
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn pieces_of_any_table_add_up_to_it(batches in tables(), most in 1..4000_usize) {
        adds_up(&batches, most);
    }
}
