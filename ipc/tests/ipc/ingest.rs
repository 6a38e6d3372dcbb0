//! Somebody else's stream becomes a file: every type, either way in.

use std::sync::Arc;

use arrow_array::{Array, DictionaryArray, Int8Array, RecordBatch, StringArray};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use proptest::prelude::*;
use sheaf_ipc::{File, Ingest, Intake, Metadata, Part};

use crate::harness::open;
use crate::properties::{config, tables};
use crate::samples::all_types;

/// A stream as arrow-rs writes it, cut into messages: flatbuffer and body.
fn messages(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut stream = Vec::new();
    let schema = batches[0].schema();
    let mut writer = StreamWriter::try_new_with_options(&mut stream, &schema, options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    let mut found = Vec::new();
    let mut rest = &stream[..];
    loop {
        let len = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        if len == 0 {
            return found;
        }
        let (header, after) = rest[8..].split_at(len);
        let body = arrow_ipc::root_as_message(header).unwrap().bodyLength() as usize;
        let (body, after) = after.split_at(body);
        found.push((header.to_vec(), body.to_vec()));
        rest = after;
    }
}

fn write(file: &mut Vec<u8>, part: &Part) {
    assert_eq!(part.offset(), file.len() as u64, "parts follow one another");
    let start = file.len();
    file.resize(start + part.len(), 0xaa);
    part.fill(&mut file[start..]);
}

fn aligned(bytes: &[u8]) -> Buffer {
    let mut buffer = MutableBuffer::with_capacity(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer.into()
}

/// The file, and how many messages were placed as they are.
fn ingest(messages: &[(Vec<u8>, Vec<u8>)]) -> sheaf_ipc::Result<(Buffer, usize)> {
    let mut ingest = Ingest::new(&messages[0].0)?;
    let (mut file, mut placed) = (Vec::new(), 0);
    write(&mut file, &ingest.start());
    for (header, body) in &messages[1..] {
        match ingest.message(header, body.len(), &Metadata::new())? {
            Intake::Placed(place) => {
                placed += 1;
                let start = file.len();
                assert_eq!(place.offset(), start as u64);
                file.resize(start + place.len(), 0xaa);
                place.start(&mut file[start..]);
                for run in place.runs() {
                    let target = start + run.target;
                    file[target..target + run.len]
                        .copy_from_slice(&body[run.source..run.source + run.len]);
                }
            }
            Intake::Whole => {
                if let Some(part) = ingest.whole(header, &aligned(body), &Metadata::new())? {
                    write(&mut file, &part);
                }
            }
        }
    }
    write(&mut file, &ingest.finish()?);
    Ok((aligned(&file), placed))
}

fn comes_back(batches: &[RecordBatch], options: IpcWriteOptions) -> usize {
    let (bytes, placed) = ingest(&messages(batches, options)).unwrap();
    let (file, back) = open(&bytes);
    assert_eq!(back, batches);
    assert_eq!(*file.schema(), batches[0].schema());
    placed
}

fn eight() -> IpcWriteOptions {
    IpcWriteOptions::try_new(8, false, arrow_ipc::MetadataVersion::V5).unwrap()
}

#[test]
fn every_type_comes_back_however_the_stream_is_aligned() {
    for rows in [0, 1, 100] {
        comes_back(&[all_types(rows), all_types(rows)], eight());
        comes_back(&[all_types(rows)], IpcWriteOptions::default());
    }
}

#[test]
fn what_has_no_dictionaries_is_placed_as_it_comes() {
    let words = StringArray::from(vec!["a", "bc", "", "def"]);
    let batch = RecordBatch::try_from_iter([("word", Arc::new(words) as Arc<dyn Array>)]).unwrap();

    assert_eq!(comes_back(&[batch.clone(), batch.slice(1, 2)], eight()), 2);
}

#[test]
fn compressed_bodies_are_decompressed() {
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let options = eight().try_with_compression(Some(codec)).unwrap();
        assert_eq!(comes_back(&[all_types(1000)], options), 0);
    }
}

#[test]
fn a_dictionary_that_is_replaced_midway_is_merged() {
    let of = |words: Vec<&str>, keys: Vec<Option<i8>>| {
        let words = Arc::new(StringArray::from(words));
        let column = DictionaryArray::new(Int8Array::from(keys), words);
        RecordBatch::try_from_iter([("d", Arc::new(column) as Arc<dyn Array>)]).unwrap()
    };
    let batches = [
        of(vec!["a", "b"], vec![Some(0), None, Some(1)]),
        of(vec!["c", "a"], vec![Some(1), Some(0)]),
    ];
    let schema = batches[0].schema();
    let batches = batches
        .map(|batch| RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).unwrap());

    let (bytes, _) = ingest(&messages(&batches, eight())).unwrap();

    let (_, back) = open(&bytes);
    let texts = |batch: &RecordBatch| {
        let cast = arrow_cast::cast(batch.column(0), &arrow_schema::DataType::Utf8).unwrap();
        format!("{cast:?}")
    };
    assert_eq!(texts(&back[0]), texts(&batches[0]));
    assert_eq!(texts(&back[1]), texts(&batches[1]));
}

#[test]
fn lies_about_sizes_are_refused() {
    let batch = all_types(10);
    let all = messages(&[batch], eight());
    let plain = StringArray::from(vec!["a", "bc"]);
    let plain = RecordBatch::try_from_iter([("w", Arc::new(plain) as Arc<dyn Array>)]).unwrap();
    let plain = messages(&[plain], eight());

    let mut longer = Ingest::new(&plain[0].0).unwrap();
    assert!(longer.message(&plain[1].0, plain[1].1.len() + 8, &Metadata::new()).is_err());
    assert!(Ingest::new(&plain[1].0).is_err(), "a batch is no schema");
    assert!(Ingest::new(&[]).is_err());
    let mut twice = Ingest::new(&all[0].0).unwrap();
    assert!(twice.message(&all[0].0, 0, &Metadata::new()).is_err(), "a second schema");
}

#[test]
fn a_decompressed_size_that_is_made_up_is_refused() {
    let options = eight().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let mut all = messages(&[all_types(1000)], options);
    let last = all.len() - 1;
    let (header, body) = &mut all[last];
    let batch = arrow_ipc::root_as_message(header).unwrap().header_as_record_batch().unwrap();
    let buffer = batch.buffers().unwrap().iter().find(|buffer| buffer.length() > 0).unwrap();
    let at = buffer.offset() as usize;
    body[at..at + 8].copy_from_slice(&(1_i64 << 60).to_le_bytes());

    assert_eq!(ingest(&all).unwrap_err().kind(), sheaf_ipc::Kind::TooLarge);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_table_comes_back(batches in tables()) {
        // As this crate writes it: arrow-rs leaves more than a slice shows in some nested types.
        let (file, _) = open(&crate::harness::write(&batches[0].schema(), &batches));
        let messages = file.messages();
        let messages: Vec<_> = messages
            .map(|message| (message.header.to_vec(), message.body.to_vec()))
            .collect();

        let (bytes, _) = ingest(&messages).unwrap();

        prop_assert_eq!(open(&bytes).1, batches);
    }

    #[test]
    fn broken_messages_are_refused_or_become_a_file_that_is_checked(
        breaks in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        column in any::<prop::sample::Index>(),
        message in any::<prop::sample::Index>(),
    ) {
        let table = crate::samples::batch(vec![column.get(all_types(9).columns()).clone()]);
        let mut all = messages(&[table.clone(), table], eight());
        let (header, _) = &mut all[message.index(3)];
        for (at, byte) in breaks {
            let at = at.index(header.len());
            header[at] = byte;
        }

        if let Ok((bytes, _)) = ingest(&all) {
            let _ = File::open(bytes);
        }
    }
}
