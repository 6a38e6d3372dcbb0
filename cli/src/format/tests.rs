//! What is written in a format is what is read back, from a file and from a pipe.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};

use arrow_schema::DataType;

use super::*;
use crate::format::Writer;

const OPTIONS: ReadOptions =
    ReadOptions { format: None, header: true, delimiter: None, null: None, infer_rows: Some(100) };

fn batch() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("k", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef, true),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), Some(-1.25), None])), true),
        ("s", Arc::new(StringArray::from(vec![Some("a,b"), Some("ü \"q\""), None])), true),
    ])
    .unwrap()
}

fn rich_batch() -> RecordBatch {
    let time = TimestampMillisecondArray::from(vec![0, 1, 1_700_000_000_000]).with_timezone("UTC");
    let words: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    RecordBatch::try_from_iter([
        ("t", Arc::new(time) as ArrayRef),
        ("w", Arc::new(words)),
        ("k", batch().column(0).clone()),
    ])
    .unwrap()
}

fn arrow_bytes(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let schema = batches[0].schema();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

fn written(batches: &[RecordBatch], format: Format, delimiter: u8) -> Vec<u8> {
    let schema = batches[0].schema();
    let mut writer = Writer::new(&schema, format, delimiter, Vec::new()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap()
}

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    File::create(&path).unwrap().write_all(bytes).unwrap();
    (folder, path)
}

fn all(source: Source) -> Vec<RecordBatch> {
    source.batches.map(Result::unwrap).collect()
}

fn pipe(bytes: Vec<u8>, format: Format) -> Result<Source> {
    Source::stream(Cursor::new(bytes), format, &OPTIONS)
}

#[test]
fn every_format_gives_back_through_a_file_what_was_written() {
    for name in ["a.parquet", "a.csv", "a.tsv", "a.arrow", "a.feather", "a.arrows", "a.jsonl"] {
        let format = Format::of(name.as_ref()).unwrap();
        let delimiter = delimiter_of(name.as_ref(), None);
        let (_folder, path) = file(name, &written(&[batch()], format, delimiter));

        let source = Source::open(&path, &OPTIONS).unwrap();

        assert_eq!(source.schema, batch().schema(), "{name}");
        assert_eq!(all(source), [batch()], "{name}");
    }
}

#[test]
fn arrow_and_parquet_keep_zones_and_dictionaries() {
    for (name, format) in
        [("a.parquet", Format::Parquet), ("a.arrow", Format::Arrow), ("a.arrows", Format::Arrows)]
    {
        let (_folder, path) = file(name, &written(&[rich_batch(), rich_batch()], format, b','));

        let rows = all(Source::open(&path, &OPTIONS).unwrap());

        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 6, "{name}");
        assert_eq!(rows[0].schema(), rich_batch().schema(), "{name}");
        assert_eq!(rows[0].slice(0, 3), rich_batch(), "{name}");
    }
}

#[test]
fn every_format_but_parquet_comes_through_a_pipe() {
    for format in [Format::Csv, Format::Arrow, Format::Arrows, Format::Jsonl] {
        let source = pipe(written(&[batch()], format, b','), format).unwrap();

        assert_eq!(all(source), [batch()], "{format:?}");
    }
    let parquet = pipe(written(&[batch()], Format::Parquet, b','), Format::Parquet);
    assert_eq!(parquet.err().unwrap().status(), 2);
}

#[test]
fn an_arrow_file_is_known_by_its_bytes_and_not_its_name() {
    for (name, format) in [("a.arrow", Format::Arrows), ("a.arrows", Format::Arrow)] {
        let (_folder, path) = file(name, &written(&[batch()], format, b','));

        assert_eq!(all(Source::open(&path, &OPTIONS).unwrap()), [batch()], "{name}");
    }
}

#[test]
fn compressed_feather_is_read() {
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let (_folder, path) = file("a.feather", &arrow_bytes(&[batch()], Some(compression)));

        assert_eq!(all(Source::open(&path, &OPTIONS).unwrap()), [batch()]);
    }
}

#[test]
fn a_word_for_null_is_null_and_does_not_spoil_the_type() {
    let (_folder, path) = file("a.csv", b"x,s\n1,a\nNA,NA\n,b\n");
    let options = ReadOptions { null: Some("NA".into()), ..OPTIONS };

    let source = Source::open(&path, &options).unwrap();

    assert_eq!(source.schema.field(0).data_type(), &DataType::Int64);
    let rows = all(source);
    assert_eq!(rows[0].column(0).null_count(), 2);
    assert_eq!(rows[0].column(1).null_count(), 1);
}

#[test]
fn a_csv_without_a_header_numbers_its_columns() {
    let (_folder, path) = file("a.csv", b"1;a\n2;b\n");
    let options = ReadOptions { header: false, delimiter: Some(b';'), ..OPTIONS };

    let source = Source::open(&path, &options).unwrap();

    assert_eq!(source.schema.field(1).name(), "column_2");
    assert_eq!(all(source)[0].num_rows(), 2);
}

#[test]
fn a_value_that_does_not_fit_the_inferred_type_is_an_error_with_the_way_out() {
    let options = ReadOptions { infer_rows: Some(1), ..OPTIONS };
    for (name, text) in
        [("a.csv", "x\n1\n2.5\n"), ("a.jsonl", "{\"x\":1}\n{\"x\":1,\"y\":\"late\"}\n")]
    {
        let (_folder, path) = file(name, text.as_bytes());

        let mut source = Source::open(&path, &options).unwrap();

        let error = source.batches.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("--infer-rows 0"), "{name}: {error}");
    }
}

#[test]
fn a_column_that_starts_empty_loses_nothing() {
    let options = ReadOptions { infer_rows: Some(1), ..OPTIONS };
    for (name, text) in
        [("a.csv", "x,y\n1,\n2,late\n"), ("a.jsonl", "{\"y\":null}\n{\"y\":\"late\"}\n")]
    {
        let (_folder, path) = file(name, text.as_bytes());

        let rows = all(Source::open(&path, &options).unwrap());

        let y = rows[0].column_by_name("y").unwrap();
        assert_eq!(y.as_ref(), &StringArray::from(vec![None, Some("late")]), "{name}");
    }
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let (_folder, path) = file("a.parquet", b"no parquet at all");

    let error = Source::open(&path, &OPTIONS).err().unwrap();

    assert!(error.to_string().contains("a.parquet: "), "{error}");
    assert_eq!(error.status(), 1);
}

#[test]
fn an_empty_table_still_has_its_columns() {
    let none = batch().slice(0, 0);
    for format in [Format::Csv, Format::Parquet, Format::Arrow, Format::Arrows] {
        let bytes = written(std::slice::from_ref(&none), format, b',');
        let (_folder, path) = file("a", &bytes);
        let options = ReadOptions { format: Some(format), ..OPTIONS };

        let source = Source::open(&path, &options).unwrap();

        assert_eq!(source.schema.fields().len(), 3, "{format:?}");
        assert_eq!(all(source).iter().map(RecordBatch::num_rows).sum::<usize>(), 0, "{format:?}");
    }
}
