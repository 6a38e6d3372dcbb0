//! Writes record batches in a format.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Format;
use crate::error::Result;

/// A table to be written.
pub(crate) struct Rows<'a, I> {
    /// The table as an Arrow IPC file, which is how the store keeps it.
    pub(crate) file: &'a [u8],
    /// Its schema.
    pub(crate) schema: &'a SchemaRef,
    /// Its record batches.
    pub(crate) batches: I,
}

/// Writes the table. `delimiter` is for CSV alone.
pub(crate) fn write<W, I>(rows: Rows<'_, I>, format: Format, delimiter: u8, out: W) -> Result<()>
where
    W: Write + Send,
    I: Iterator<Item = Result<RecordBatch>>,
{
    match format {
        Format::Arrow => as_it_lies(rows.file, out),
        Format::Arrows => stream(rows, out),
        Format::Parquet => parquet(rows, out),
        Format::Csv => csv(rows, delimiter, out),
        Format::Jsonl => jsonl(rows, out),
    }
}

/// Nothing is decoded: dictionaries and metadata stay as they were put.
fn as_it_lies(file: &[u8], mut out: impl Write) -> Result<()> {
    out.write_all(file)?;
    Ok(out.flush()?)
}

fn stream<I>(rows: Rows<'_, I>, out: impl Write) -> Result<()>
where
    I: Iterator<Item = Result<RecordBatch>>,
{
    let mut writer = StreamWriter::try_new(out, rows.schema)?;
    for batch in rows.batches {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(writer.get_mut().flush()?)
}

fn parquet<I>(rows: Rows<'_, I>, out: impl Write + Send) -> Result<()>
where
    I: Iterator<Item = Result<RecordBatch>>,
{
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .build();
    let mut writer = ArrowWriter::try_new(out, rows.schema.clone(), Some(properties))?;
    for batch in rows.batches {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(writer.inner_mut().flush()?)
}

fn csv<I>(rows: Rows<'_, I>, delimiter: u8, mut out: impl Write) -> Result<()>
where
    I: Iterator<Item = Result<RecordBatch>>,
{
    let builder = arrow_csv::WriterBuilder::new().with_delimiter(delimiter);
    let mut writer = builder.with_header(true).build(&mut out);
    // A table without batches still has its header.
    writer.write(&RecordBatch::new_empty(rows.schema.clone()))?;
    for batch in rows.batches {
        writer.write(&batch?)?;
    }
    drop(writer);
    Ok(out.flush()?)
}

fn jsonl<I>(rows: Rows<'_, I>, mut out: impl Write) -> Result<()>
where
    I: Iterator<Item = Result<RecordBatch>>,
{
    // Nulls are written out, or a reader could not tell which columns there are.
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(&mut out);
    for batch in rows.batches {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    drop(writer);
    Ok(out.flush()?)
}
